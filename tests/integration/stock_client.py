"""A libtorrent client without the plugin meets nodes: it gets one small file and passes it on; neither side disturbs the other."""

import hashlib
import os
import sys
import time

from _nodes import assert_same, playground, random_bytes, tree, wait_for, write

try:
    import libtorrent as lt
except ImportError:
    print("skipped: no libtorrent for this Python")
    sys.exit(0)


class Stock:
    """A session of python3-libtorrent, alone with the peers it is told of."""

    def __init__(self, where, name):
        self.path = where / name
        self.path.mkdir()
        self.session = lt.session({
            "listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
            "allow_multiple_connections_per_ip": True, "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.peer_notification,
        })
        self.errors = []

    def port(self):
        return wait_for(self.session.listen_port, 5, "a listening port")

    def add(self, source, *ports):
        if str(source).startswith("magnet:"):
            params = lt.parse_magnet_uri(source)
        else:
            params = lt.add_torrent_params()
            params.ti = lt.torrent_info(str(source))
        params.save_path = str(self.path)
        params.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        handle = self.session.add_torrent(params)
        for port in ports:
            handle.connect_peer(("127.0.0.1", port))
        return handle

    def complaints(self):
        """What libtorrent holds against its peers: protocol errors, banned peers."""
        for alert in self.session.pop_alerts():
            if isinstance(alert, (lt.peer_ban_alert, lt.torrent_error_alert, lt.file_error_alert, lt.hash_failed_alert)) or "invalid" in alert.message():
                self.errors.append(alert.message())
        return self.errors


def complete(handle, name):
    wait_for(lambda: handle.status().is_seeding, 20, f"{name} to be complete; {handle.status().state} {handle.status().num_peers} peers")


def small_file(stock, name):
    """All that a client without the plugin gets."""
    files = [p for p in stock.path.rglob("*") if p.is_file()]
    assert [p.name for p in files] == [f"{name}.xet.txt"], files
    text = files[0].read_text()
    assert len(text) < 2000 and "ut_xet" in text and name in text, text
    return text


def syncs(a, b, source, dest, folder, change):
    change()
    wait_for(lambda: tree(source) == tree(dest) and b.in_sync(folder), 15, "an edit")


def main():
    with playground("a", "b", "c") as (where, a, b, c):
        source, dest = where / "source" / "photos", where / "dest" / "photos"
        for i in range(50):
            write(source / f"{i}.jpg", random_bytes(100_000, i))
        shared = a.share(source)

        # by .torrent and by magnet link, from a node
        by_torrent, by_magnet, third = Stock(where, "by torrent"), Stock(where, "by magnet"), Stock(where, "third")
        info = lt.torrent_info(shared["torrent"])
        assert info.num_files() == 1 and info.total_size() < 2000 and info.num_pieces() == 1
        one = by_torrent.add(shared["torrent"], a.port)
        two = by_magnet.add(shared["magnet"], a.port)
        complete(one, "the torrent")
        complete(two, "the magnet link")
        text = small_file(by_torrent, "photos")
        assert small_file(by_magnet, "photos") == text
        assert two.status().name == one.status().name == "photos.xet.txt"

        # it passes the file on to another one like it
        complete(third.add(shared["magnet"], by_torrent.port()), "what the stock client seeds")
        assert small_file(third, "photos") == text

        # nodes sync beside it, all in one swarm
        b.join(shared["magnet"], where / "dest", a.address, f"127.0.0.1:{by_torrent.port()}", f"127.0.0.1:{by_magnet.port()}")
        assert_same(source, dest)
        for handle in (one, two):
            handle.connect_peer(("127.0.0.1", b.port))
        for i in range(3):
            syncs(a, b, source, dest, shared["folder"], lambda: write(source / "edited", os.urandom(50_000)))

        # a node that knows stock clients only learns what the torrent is, waits, and goes on when a node comes
        c.join(shared["magnet"], where / "c", f"127.0.0.1:{by_magnet.port()}", wait=False)
        row = wait_for(lambda: (rows := c.status()) and rows[0]["folder"] == shared["folder"] and rows[0], 20, "the folder to be known")
        assert row["state"] == "searching" and not row["failed"] and "waiting for a peer" in row["problem"], row
        assert not (where / "c" / "photos").exists() or os.listdir(where / "c" / "photos") == []
        c.join(shared["magnet"], where / "c", a.address)
        assert_same(source, where / "c" / "photos")

        # time passes (the descriptor's swarm consists of seeds now): nobody was banned, nobody complains, the nodes still sync
        time.sleep(2)
        for stock in (by_torrent, by_magnet, third):
            assert stock.complaints() == [], stock.errors
            assert small_file(stock, "photos") == text
        for node in (a, b, c):
            stats = node.stats()
            assert stats["violations"] == 0 and stats["verify_failures"] == 0, stats
        syncs(a, b, source, dest, shared["folder"], lambda: write(source / "edited", os.urandom(50_000)))
        syncs(a, c, source, where / "c" / "photos", shared["folder"], lambda: os.unlink(source / "edited"))

        # nodes seed the small file as well: a newcomer gets it from a follower when the publisher is gone
        a.stop()
        late = Stock(where, "late")
        complete(late.add(shared["magnet"], b.port), "the torrent from a follower")
        assert small_file(late, "photos") == text
        a.start()

        ordinary(where, c)


def ordinary(where, node):
    """The magnet link of an ordinary torrent: seen as soon as its metadata is there, and not downloaded."""
    content = random_bytes(3 << 20, 99)
    seeder = Stock(where, "seeder")
    write(seeder.path / "movie.mkv", content)
    piece = 1 << 16
    torrent = lt.bencode({b"info": {b"name": b"movie.mkv", b"length": len(content), b"piece length": piece,
                                    b"pieces": b"".join(hashlib.sha1(content[i:i + piece]).digest() for i in range(0, len(content), piece))}})
    write(where / "movie.torrent", torrent)
    handle = seeder.add(where / "movie.torrent")
    complete(handle, "the seeder")
    magnet = f"magnet:?xt=urn:btih:{handle.info_hash()}&dn=movie.mkv"
    before = [r["folder"] for r in node.status()]
    done = node.xet("join", magnet, where / "ordinary", "--peer", f"127.0.0.1:{seeder.port()}", "--wait", check=False, timeout=30)
    assert done.returncode == 1 and done.stdout == "" and "ordinary" in done.stderr.splitlines()[-1], done
    assert not (where / "ordinary").exists() or os.listdir(where / "ordinary") == []
    assert [r["folder"] for r in node.status()] == before
    # without --wait: the status says so, and nothing is downloaded either
    node.join(magnet, where / "ordinary", f"127.0.0.1:{seeder.port()}", wait=False)
    row = wait_for(lambda: [r for r in node.status() if r["failed"]], 20, "the ordinary torrent to be noticed")[0]
    assert "ordinary" in row["problem"] and row["state"] == "error", row
    carrier = node.data / "carriers" / row["infohash"]
    time.sleep(1)
    assert not carrier.exists() or sum(p.stat().st_size for p in carrier.rglob("*") if p.is_file()) == 0, list(carrier.rglob("*"))
    node.stop()
    node.start()
    row = wait_for(lambda: [r for r in node.status() if r["infohash"] == str(handle.info_hash())], 10, "the row after a restart")[0]
    node.xet("leave", row["infohash"])
    assert [r["folder"] for r in node.status()] == before
    assert not carrier.exists()


main()
