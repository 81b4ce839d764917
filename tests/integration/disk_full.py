"""A disk that is too small, or that fills up on the way: said with numbers, nothing half-made under a real name, and it goes on when there is room."""

import contextlib
import os
import re
import subprocess

from _nodes import BIN, assert_same, assert_settles, is_root, playground, random_bytes, tree, wait_for, write

MIB = 1 << 20


@contextlib.contextmanager
def small_disk(at, size):
    at.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", at], check=True)


def resize(at, size):
    subprocess.run(["mount", "-o", f"remount,size={size}", at], check=True)


def numbers(text):
    """(needed, there) of the message."""
    found = re.search(r"needs (\d+) more bytes and has (\d+)", text)
    assert found, text
    return int(found[1]), int(found[2])


def whole_or_nothing(source, dest):
    """Under real names there are only whole files. False when something moved meanwhile."""
    expected = tree(source)
    try:
        there = tree(dest)
    except FileNotFoundError:
        return False
    for path, entry in there.items():
        if entry[0] == "file" and not path.startswith(b".ut_xet/"):
            assert expected[path][1:] == entry[1:], path
    return True


def too_small(where, a, b):
    """It is seen before anything is written."""
    source = where / "source" / "films"
    for i in range(40):
        write(source / f"d{i % 4}" / f"{i}.bin", random_bytes(MIB, i))
    os.symlink("d0", source / "link")
    shared = a.share(source)
    disk = where / "small"
    with small_disk(disk, "20m"):
        for kind in ("magnet", "link", "torrent", "tonic"):
            done = b.xet("join", shared[kind], disk, "--peer", a.address, "--wait", check=False)
            assert done.returncode == 1 and done.stdout == "", done
            last = done.stderr.strip().splitlines()[-1]
            needed, there = numbers(last)
            assert str(disk) in last and 40 * MIB <= needed < 43 * MIB and 19 * MIB < there <= 20 * MIB, last
            assert os.listdir(disk) == [], os.listdir(disk)
            row = b.status(shared["folder"])
            assert row["failed"] and numbers(row["problem"]) == (needed, there), row
            assert numbers(b.xet("status", shared["folder"], "--why", "d0/0.bin").stdout) == (needed, there)
            if kind != "tonic":
                b.xet("leave", shared["folder"])
        # it stays so over a restart, and goes on by itself when there is room
        b.stop()
        b.start()
        wait_for(lambda: b.status(shared["folder"])["failed"], 10, "the same message")
        assert os.listdir(disk) == []
        resize(disk, "64m")
        wait_for(lambda: b.in_sync(shared["folder"]), 20, "room to be used")
        assert_same(source, disk / "films")
        assert_settles(b, shared["folder"], disk)

        # the next version does not fit: the one that is there stays whole
        before = tree(disk / "films")
        write(source / "large", random_bytes(30 * MIB, 100))
        row = wait_for(lambda: (s := b.status(shared["folder"]))["failed"] and s, 20, "the larger version not to fit")
        needed, there = numbers(row["problem"])
        assert 30 * MIB <= needed < 32 * MIB and there < needed, row
        assert tree(disk / "films") == before
        # the publisher makes it smaller again
        os.unlink(source / "large")
        write(source / "small", b"small")
        wait_for(lambda: b.in_sync(shared["folder"]) and tree(source) == tree(disk / "films"), 20, "a version that fits")
        b.xet("leave", shared["folder"])


def filled_on_the_way(where, a, b):
    """Something else eats the room after the check."""
    source = where / "source" / "music"
    for i in range(24):
        write(source / f"{i}.bin", random_bytes(MIB, 1000 + i))
    shared = a.share(source)
    (where / "slow.toml").write_text(f"[network]\nupload_limit = {8 * MIB}\n")
    a.stop()
    a.config = where / "slow.toml"
    a.start()
    disk = where / "filling"
    before = b.stats()["chunk_bytes_in"]
    with small_disk(disk, "32m"):
        joining = subprocess.Popen([BIN / "xet", "--data", b.data, "join", shared["magnet"], disk, "--peer", a.address, "--wait"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: [r for r in b.status() if 0 < r["need_bytes"] < 20 * MIB], 20, "the middle of the transfer")
            with open(disk / "eater", "wb", buffering=0) as eater, contextlib.suppress(OSError):
                while True:
                    eater.write(b"x" * 4096)
            out, err = joining.communicate(timeout=30)
        finally:
            if joining.poll() is None:
                joining.kill()
                joining.wait()
        assert joining.returncode == 1 and out == "", (joining.returncode, out, err)
        numbers(err.strip().splitlines()[-1])
        wait_for(lambda: whole_or_nothing(source, disk / "music"), 5, "a look at the files")
        fetched = b.stats()["chunk_bytes_in"] - before
        os.unlink(disk / "eater")
        wait_for(lambda: b.in_sync(shared["folder"]), 30, "it to go on when there is room")
        assert_same(source, disk / "music")
        # what was on disk already was not fetched again
        print(f"fetched {fetched} before and {b.stats()['chunk_bytes_in'] - before - fetched} after the disk was full")
        assert b.stats()["chunk_bytes_in"] - before < 24 * MIB + 6 * MIB, b.stats()
        assert not (disk / "music" / ".ut_xet").exists()


def many_small_files(where, a, b):
    """Small files need more room than they have bytes."""
    source = where / "source" / "notes"
    for i in range(1500):
        write(source / f"{i % 20}" / f"{i}", b"%d" % i)
    shared = a.share(source)
    disk = where / "tiny"
    with small_disk(disk, "3m"):
        done = b.xet("join", shared["magnet"], disk, "--peer", a.address, "--wait", check=False)
        assert done.returncode == 1, done
        needed, there = numbers(done.stderr)
        assert needed > 1500 * 4096 and there < 4 * MIB, done
        assert os.listdir(disk) == []
        resize(disk, "16m")
        wait_for(lambda: b.in_sync(shared["folder"]), 20, "room to be used")
        assert_same(source, disk / "notes")
        b.xet("leave", shared["folder"])


def sparse_fits(where, a, b):
    """Holes need no room."""
    source = where / "source" / "image"
    source.mkdir(parents=True)
    with open(source / "disk.img", "wb") as f:
        f.truncate(4 << 30)
        f.seek(1 << 30)
        f.write(random_bytes(MIB))
    shared = a.share(source)
    disk = where / "for the image"
    with small_disk(disk, "8m"):
        b.join(shared["magnet"], disk, a.address)
        assert os.stat(disk / "image" / "disk.img").st_size == 4 << 30
        b.xet("leave", shared["folder"])


def main():
    if not is_root():
        print("skipped: a small disk can only be mounted by root")
        return
    with playground("a", "b") as (where, a, b):
        for step in (too_small, many_small_files, sparse_fits, filled_on_the_way):
            step(where, a, b)
            print(step.__name__, "done;", b.stats()["chunks_duplicate"], "chunks came twice", flush=True)


main()
