"""What a new version replaced comes back: byte for byte, with mode and time, on the side that follows, and small files on the
publisher's; as many versions as were asked for, and no longer than the folder is there."""

import contextlib
import json
import os
import pathlib

from _nodes import Node, assert_same, playground, random_bytes, wait_for, write

BIG = 3 << 20  # above [versions] keep_own_bytes


def rows(node, *args):
    """What a command prints with --json, a value a line; the node may run or not."""
    return [json.loads(line) for line in node.xet(*args, "--json").stdout.splitlines()]


def refused(node, *args, says):
    done = node.xet(*args, check=False)
    assert done.returncode == 1 and says in done.stderr, (args, done.returncode, done.stderr)


def snapshot(root):
    """path → content, mode and time of every file."""
    found = {}
    for path in sorted(p for p in pathlib.Path(root).rglob("*") if p.is_file()):
        st = path.stat()
        found[str(path.relative_to(root))] = (path.read_bytes(), st.st_mode & 0o777, st.st_mtime_ns)
    return found


def seq_of(node, folder):
    return node.status(folder)["seq"]


def change(publisher, followers, folder, what):
    """Does something to the files and waits until it is published, and everywhere."""
    before = seq_of(publisher, folder)
    what()

    def published():
        # not the half of it: the newest version is what is on the disk
        s = publisher.status(folder)
        return s["seq"] > before and s["state"] == "in-sync" and publisher.xet("verify", s["path"], check=False).returncode == 0

    wait_for(published, 20, "the change to be published")
    arrive(publisher, followers, folder)


def arrive(publisher, followers, folder):
    for f in followers:
        wait_for(lambda: f.status(folder)["seq"] == seq_of(publisher, folder) and f.in_sync(folder), 20, "the change on the other node")


def kept(node, folder, *inside):
    path = pathlib.Path(node.status(folder)["path"]).joinpath(*inside)
    return rows(node, "versions", path)


def settle(node, folder, count):
    """A publisher copies its small files after a version is out."""
    wait_for(lambda: sum(row["available"] for row in kept(node, folder, "notes.txt")) >= count, 10, "the publisher's own copies")


def restore_all(node, folder, history, where):
    """Every version in history, whole and file by file."""
    root = pathlib.Path(node.status(folder)["path"])
    listed = {row["seq"]: row for row in rows(node, "versions", root)}
    for seq, files in history.items():
        row = listed[seq]
        assert row["available"] and row["missing_chunks"] == 0, row
        assert row["files"] == len(files) and row["size"] == sum(len(f[0]) for f in files.values()), row
        out = where / f"{node.data.name} {seq}"
        told = rows(node, "restore", root, "--version", seq, "-o", out)[-1]
        assert told["files"] == len(files) and told["seq"] == seq and not told["in_place"], told
        assert snapshot(out) == files, f"version {seq} came back with another content, mode or time"
    seq, files = next(iter(history.items()))
    for name, (data, mode, mtime) in files.items():
        out = where / "one file"
        node.xet("restore", root / name, "--version", listed[seq]["version"][:12], "-o", out)
        st = out.stat()
        assert (out.read_bytes(), st.st_mode & 0o777, st.st_mtime_ns) == (data, mode, mtime), name
        out.unlink()


def edits(source):
    """What happens to the folder, one change at a time."""
    def edit_text():
        write(source / "notes.txt", b"second\n" * 50)
        os.chmod(source / "notes.txt", 0o640)
        os.utime(source / "notes.txt", ns=(10**18, 1_234_567_890_123_456_789))

    def edit_the_big_file():
        data = (source / "big.bin").read_bytes()
        write(source / "big.bin", data[: BIG // 2] + random_bytes(500_000, 9) + data[BIG // 2 + 500_000:])

    def delete_a_file():
        os.unlink(source / "sub" / "doomed.txt")

    def rename_a_file():
        os.rename(source / "old name.txt", source / "sub" / "new name.txt")

    def edit_again():
        write(source / "notes.txt", b"third\n")
        write(source / "big.bin", random_bytes(BIG, 10))

    return edit_text, edit_the_big_file, delete_a_file, rename_a_file, edit_again


def share_and_edit(where, a, b):
    source = where / "source"
    write(source / "notes.txt", b"first\n")
    write(source / "big.bin", random_bytes(BIG, 8))
    write(source / "sub" / "doomed.txt", random_bytes(30_000, 12))
    write(source / "old name.txt", b"renamed later\n" * 200)
    write(source / "empty", b"")
    os.chmod(source / "old name.txt", 0o755)
    shared = a.share(source)
    folder = shared["folder"]
    settle(a, folder, 1)
    b.join(shared["magnet"], where / "dest", a.address)
    history = {seq_of(a, folder): snapshot(source)}
    for count, what in enumerate(edits(source), 2):
        change(a, [b], folder, what)
        settle(a, folder, count)
        history[seq_of(a, folder)] = snapshot(source)
    assert_same(source, where / "dest" / "source")
    return source, folder, history


def listing(node, folder, history):
    whole = kept(node, folder)
    seqs = [row["seq"] for row in whole]
    assert set(history) <= set(seqs) and seqs == sorted(seqs, reverse=True), whole
    assert [row["current"] for row in whole] == [True] + [False] * (len(whole) - 1), whole
    times = [row["time"] for row in whole]
    assert times == sorted(times, reverse=True), times
    # only the versions that have the path
    for name in ("notes.txt", "sub/doomed.txt", "sub/new name.txt", "old name.txt"):
        found = {row["seq"] for row in kept(node, folder, name)} & set(history)
        assert found == {seq for seq, files in history.items() if name in files}, name
    one = [row for row in kept(node, folder, "notes.txt") if row["seq"] in history]
    assert [row["size"] for row in one] == [len(history[row["seq"]]["notes.txt"][0]) for row in one], one
    assert one[-1]["mtime"] == history[one[-1]["seq"]]["notes.txt"][2] // 10**9
    refused(node, "versions", pathlib.Path(node.status(folder)["path"]) / "never there", says="no version that is kept has never there")
    refused(node, "versions", "/etc/passwd", says="is in no folder of this node")


def publishers_side(where, a, b, source, folder, history):
    """Small files are all there; of the large one only what the disk still has, and what a peer has kept."""
    for row in kept(a, folder, "notes.txt") + kept(a, folder, "sub", "doomed.txt"):
        assert row["available"], row
    big = kept(a, folder, "big.bin")
    assert big[0]["available"] and not big[1]["available"] and big[1]["missing_chunks"] > 0, big
    first = min(history)
    assert b.stop() == 0
    wait_for(lambda: a.status(folder)["peers"] == 0, 20, "the peer to be gone")
    refused(a, "restore", source / "big.bin", "--version", first, "-o", where / "out", says="no peer that is connected kept them")
    refused(a, "restore", source, "--version", first, "-o", where / "out", says="no peer that is connected kept them")
    assert not (where / "out").exists()
    refused(a, "restore", source / "notes.txt", "--version", "12345", says="there is no version 12345")
    b.start()
    wait_for(lambda: a.status(folder)["peers"] == 1 and b.in_sync(folder), 20, "the peer to be back")
    a.xet("restore", source, "--version", first, "-o", where / "asked back")
    assert snapshot(where / "asked back") == history[first], "what the peer had kept is something else"
    assert {row["seq"]: row for row in kept(a, folder, "big.bin")}[first]["available"], "what came back was not kept"

    # in place: a new version, which reaches the other node
    now = (source / "notes.txt").read_bytes()
    before = seq_of(a, folder)
    told = rows(a, "restore", source / "notes.txt", "--version", first)[-1]
    assert told["in_place"] and told["to"] == str(source / "notes.txt"), told
    data, mode, mtime = history[first]["notes.txt"]
    wait_for(lambda: seq_of(a, folder) > before, 10, "the restored file to be published")
    arrive(a, [b], folder)
    for root in (source, where / "dest" / "source"):
        assert snapshot(root)["notes.txt"] == (data, mode, mtime), root
    rows(a, "restore", source / "sub" / "doomed.txt", "--version", first)
    wait_for(lambda: (where / "dest" / "source" / "sub" / "doomed.txt").exists(), 10, "the deleted file on the other node")
    arrive(a, [b], folder)
    # what stood there before is a version like any other
    was = [row for row in kept(a, folder, "notes.txt") if row["seq"] == before][0]
    a.xet("restore", source / "notes.txt", "--version", was["version"], "-o", where / "out")
    assert (where / "out").read_bytes() == now
    (where / "out").unlink()


def followers_side(where, a, b, source, folder, history):
    restore_all(b, folder, history, where)
    first = min(history)
    followed = where / "dest" / "source"
    before = snapshot(followed)
    refused(b, "restore", followed / "notes.txt", "--version", first, says="-o")
    refused(b, "restore", followed, "--version", first, says="-o")
    assert snapshot(followed) == before and seq_of(b, folder) == seq_of(a, folder)
    full = where / "not empty"
    write(full / "x", b"mine")
    refused(b, "restore", followed, "--version", first, "-o", full, says="not empty")
    assert snapshot(full).keys() == {"x"}
    b.xet("restore", followed / "notes.txt", "--version", first, "-o", full)  # a file goes into a directory
    assert (full / "notes.txt").read_bytes() == history[first]["notes.txt"][0]


def made_again(where, a, b, source, folder, history):
    """Nodes stopped: the store alone, and the store with a new index, have it all; a cleanup takes nothing that is needed."""
    path = where / "dest" / "source"
    before = rows(b, "versions", path)
    assert a.stop() == 0 and b.stop() == 0
    assert rows(b, "versions", path) == before, "without a node there is another past"
    for node in (a, b):
        node.xet("store", "rebuild-index")
        node.xet("cleanup", "--max-age-days", "0")
        node.xet("cleanup", "--max-age-days", "0")
        assert rows(node, "store", "check")[0]["problems"] == []
    assert rows(b, "versions", path) == before
    edited = sorted(history)[1:-1]
    refused(a, "restore", source / "big.bin", "--version", edited[-1], "-o", where / "out", says="no node runs that could ask")
    out = where / "after"
    for seq, files in history.items():
        b.xet("restore", path, "--version", seq, "-o", out / str(seq))
        assert snapshot(out / str(seq)) == files, seq
        name = "notes.txt"
        a.xet("restore", source / name, "--version", seq, "-o", out / f"{seq}.txt")
        assert (out / f"{seq}.txt").read_bytes() == files[name][0]
    a.start()
    b.start()


def left(where, a, b, folder):
    """A folder that is left keeps nothing."""
    for node in (a, b):
        assert node.stats()["xorb_bytes"] > 0
        path = node.status(folder)["path"]
        files = snapshot(path)
        node.xet("leave", folder)
        node.xet("cleanup", "--max-age-days", "0")
        figures = node.stats()
        assert figures["chunks"] == figures["xorb_bytes"] == 0, figures
        assert not list((node.data / "store").rglob("*.xorb"))
        assert snapshot(path) == files, "leaving touched the files"
        refused(node, "versions", path, says="is in no folder of this node")


def one_past():
    with playground("a", "b") as (where, a, b):
        source, folder, history = share_and_edit(where, a, b)
        listing(a, folder, history)
        listing(b, folder, history)
        followers_side(where, a, b, source, folder, history)
        publishers_side(where, a, b, source, folder, history)
        made_again(where, a, b, source, folder, history)
        wait_for(lambda: b.in_sync(folder) and a.status(folder)["state"] == "in-sync", 20, "both nodes after their start")
        left(where, a, b, folder)


@contextlib.contextmanager
def with_policy(where, names, keep_versions):
    """Nodes that keep so many versions; the environment wins over everything but the command line."""
    key = "UT_XET_VERSIONS_KEEP_VERSIONS"
    os.environ[key] = str(keep_versions)
    nodes = []
    try:
        for name in names:
            nodes.append(Node(where, name))
        yield nodes
        for node in nodes:
            assert node.stop() == 0, node.log()[-2000:]
    finally:
        del os.environ[key]
        for node in nodes:
            if node.process.poll() is None:
                node.kill()


def policy(keep_versions):
    """As many versions as the configuration says, besides the current one."""
    with playground() as (where,), with_policy(where, (f"p{keep_versions}", f"f{keep_versions}"), keep_versions) as (a, b):
        source = where / "source"
        write(source / "notes.txt", b"0")
        shared = a.share(source)
        b.join(shared["magnet"], where / "dest", a.address)
        for i in range(1, 6):
            change(a, [b], shared["folder"], lambda: write(source / "notes.txt", b"%d" % i))
        for node, root in ((a, source), (b, where / "dest" / "source")):
            wait_for(lambda: len(rows(node, "versions", root)) == keep_versions + 1, 10, f"{node.data.name} to keep {keep_versions} versions")
            node.xet("cleanup", "--max-age-days", "0")
            listed = rows(node, "versions", root / "notes.txt")
            assert all(row["available"] for row in listed), listed
            for row, content in zip(listed, (b"5", b"4", b"3")):
                node.xet("restore", root / "notes.txt", "--version", row["seq"], "-o", where / "out")
                assert (where / "out").read_bytes() == content, row
            if keep_versions == 0:
                assert node.stats()["xorb_bytes"] == 0, node.stats()


def a_first_version_survives():
    """What a publisher keeps of its only version is needed when that is replaced: a new index knows it."""
    with playground("a") as (where, a):
        source = where / "source"
        write(source / "notes.txt", b"first\n")
        write(source / "big.bin", random_bytes(BIG, 8))
        folder = a.share(source)["folder"]
        wait_for(lambda: a.stats()["xorb_bytes"] > 0, 10, "the publisher's own copies")
        assert a.stop() == 0
        a.xet("store", "rebuild-index")
        assert rows(a, "cleanup", "--max-age-days", "0")[-1]["removed_xorbs"] == 0
        a.start()
        wait_for(lambda: a.status(folder)["state"] == "in-sync", 10, "the folder after the start")
        change(a, [], folder, lambda: write(source / "notes.txt", b"second\n"))
        old = kept(a, folder, "notes.txt")[-1]
        a.xet("restore", source / "notes.txt", "--version", old["seq"], "-o", where / "out")
        assert (where / "out").read_bytes() == b"first\n"


def nobodys_work_is_lost():
    """Restoring in place keeps what stands there, or is refused: also when it was never published."""
    with playground("a") as (where, a):
        source = where / "source"
        write(source / "notes.txt", b"first\n")
        write(source / "gone.txt", b"first\n" * 3)
        write(source / "other.txt", b"other")
        folder = a.share(source)["folder"]
        settle(a, folder, 1)
        first = seq_of(a, folder)
        change(a, [], folder, lambda: write(source / "notes.txt", b"second\n"))
        settle(a, folder, 2)
        change(a, [], folder, lambda: os.unlink(source / "gone.txt"))
        assert a.stop() == 0
        for name in ("notes.txt", "gone.txt"):
            mine = f"never published: {name}\n".encode()
            write(source / name, mine)
            done = a.xet("restore", source / name, "--version", first, check=False)
            somewhere = [p for p in source.iterdir() if p.read_bytes() == mine]
            assert somewhere, f"{name} was overwritten, and what was in it is nowhere: {done.returncode} {done.stdout}{done.stderr}"
        a.start()


def main():
    one_past()
    policy(2)
    policy(0)
    a_first_version_survives()
    nobodys_work_is_lost()


main()
