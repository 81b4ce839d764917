"""Every way to join, every profile, and content that another folder of the node has already."""

import json
import subprocess

from _nodes import BIN, assert_same, playground, random_bytes, wait_for, write


def main():
    with playground("a", "b") as (where, a, b):
        content = random_bytes(2 << 20)
        for number, (source, args) in enumerate(
            [
                ("magnet", ["--profile", "blake3"]),
                ("link", ["--profile", "hf"]),
                ("torrent", ["--profile", "sha256", "--target", "8192"]),
                ("tonic", ["--profile", "blake3", "--target", "65536"]),
                ("magnet", ["--profile", "hf", "--name", "another name"]),
            ]
        ):
            folder = where / f"source{number}" / f"folder {number}"
            write(folder / "a.bin", content + bytes([number]))
            write(folder / "sub" / "b.txt", b"text %d\n" % number)
            shared = a.share(folder, *args)
            assert shared["name"] == ("another name" if "--name" in args else f"folder {number}")
            b.join(shared[source], where / "dest", a.address)
            assert_same(folder, where / "dest" / shared["name"])
            # edits follow whatever the folder was joined by
            write(folder / "sub" / "b.txt", b"changed %d\n" % number)
            wait_for(lambda: (where / "dest" / shared["name"] / "sub" / "b.txt").read_bytes() == b"changed %d\n" % number, 10, "the edit")

        # the same content again, in another folder with the same profile: taken from this disk
        before = b.stats()
        write(where / "again" / "copy" / "x.bin", content + bytes([0]))
        shared = a.share(where / "again" / "copy")
        b.join(shared["magnet"], where / "dest", a.address)
        after = b.stats()
        fetched = after["chunk_bytes_in"] - before["chunk_bytes_in"] - (after["metadata_bytes_in"] - before["metadata_bytes_in"])
        assert fetched == 0, fetched
        assert after["chunk_bytes_local"] - before["chunk_bytes_local"] == len(content) + 1

        # a folder published without a node; two nodes that know only its .tonic exchange it
        write(where / "offline" / "things" / "y.bin", random_bytes(1 << 20, 5))
        done = subprocess.run(
            [BIN / "xet-mktonic", "-o", where / "t.tonic", "--torrent", where / "t.torrent", "--key", where / "key", "--json", where / "offline" / "things"],
            capture_output=True, text=True, check=True,
        )
        made = json.loads(done.stdout)
        a.xet("join", where / "t.tonic", where / "offline", "--reuse", "--wait")
        assert a.stats()["chunk_bytes_in"] == 0
        b.join(where / "t.tonic", where / "dest", a.address)
        assert_same(where / "offline" / "things", where / "dest" / "things")
        assert {row["infohash"] for row in b.status()} >= {made["infohash"]}

        # all of it is there after a restart, without reading or fetching anything again
        for node in (a, b):
            node.stop()
            node.start()
        wait_for(lambda: all(row["state"] == "in-sync" for node in (a, b) for row in node.status()), 20, "in sync after the restart")
        assert len(b.status()) == 7
        assert b.stats()["chunk_bytes_in"] == 0
        # and the nodes find each other by what they remember
        wait_for(lambda: b.stats()["peers"] >= 6, 20, "peers after the restart")
        b.xet("leave", "folder 1")
        assert len(b.status()) == 6 and (where / "dest" / "folder 1" / "a.bin").exists()


main()
