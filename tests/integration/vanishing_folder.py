"""A folder that is not there (moved away, its disk not mounted) is not a folder that was emptied: nobody's files go, and it recovers by itself."""

import os
import shutil
import subprocess

from _nodes import assert_same, assert_settles, is_root, playground, random_bytes, tree, wait_for, write


def fill(root):
    for i in range(30):
        write(root / f"d{i % 3}" / f"{i}", f"{i}\n".encode() * 100)
    write(root / "large", random_bytes(1 << 20))
    os.symlink("large", root / "link")
    (root / "empty").mkdir()


def missing(node, folder, *words):
    """The node says that the folder is missing, and what it does about it."""
    def said():
        row = node.status(folder)
        return row if row["state"] == "error" and row["failed"] else None

    row = wait_for(said, 10, "the missing folder to be noticed")
    for word in words:
        assert word in row["problem"], (word, row["problem"])
    assert row["problem"] in node.xet("status").stdout
    assert row["problem"] in node.xet("status", folder, "--why", "large").stdout
    return row


def stays(root, expected, node, folder, seq):
    """Nothing happened to the other side."""
    assert tree(root) == expected
    row = node.status(folder)
    assert row["seq"] == seq and row["state"] == "in-sync", row


class Case:
    def __init__(self, where, a, b):
        self.a, self.b = a, b
        self.source, self.dest = where / "source" / "disk", where / "dest" / "disk"
        self.where = where

    def begin(self):
        fill(self.source)
        shared = self.a.share(self.source)
        self.folder = shared["folder"]
        self.b.join(shared["magnet"], self.dest.parent, self.a.address)
        self.again()

    def again(self):
        """Both are in sync, edits arrive, nobody is left in an old state."""
        wait_for(lambda: self.a.in_sync(self.folder) and self.b.in_sync(self.folder), 15, "both in sync")
        write(self.source / "edit", os.urandom(20))
        wait_for(lambda: tree(self.source) == tree(self.dest) and self.b.in_sync(self.folder), 5, "an edit")
        self.expected = tree(self.dest)
        self.seq = self.b.status(self.folder)["seq"]

    def unharmed(self):
        stays(self.dest, self.expected, self.b, self.folder, self.seq)
        assert self.a.status(self.folder)["seq"] == self.seq


def moved_away(c):
    away = c.where / "away"
    os.rename(c.source, away)
    missing(c.a, c.folder, "missing", str(c.source), "goes on when")
    c.unharmed()
    # also over a restart of either
    c.a.stop()
    c.a.start()
    missing(c.a, c.folder, "missing")
    c.b.stop()
    c.b.start()
    wait_for(lambda: c.b.in_sync(c.folder), 10, "the follower to be in sync")
    c.unharmed()
    os.rename(away, c.source)
    c.again()

    # an empty directory, and one with something else, in its place
    for fill_in in (lambda: None, lambda: write(c.source / "lost+found" / "x", b"not ours")):
        os.rename(c.source, away)
        c.source.mkdir()
        fill_in()
        missing(c.a, c.folder, "is gone", "--accept-deletions")
        c.unharmed()
        c.a.stop()
        c.a.start()
        missing(c.a, c.folder, "is gone")
        c.unharmed()
        shutil.rmtree(c.source)
        os.rename(away, c.source)
        c.again()

    # everything deleted in the same directory
    (c.where / "kept").mkdir()
    for entry in list(c.source.iterdir()):
        os.rename(entry, c.where / "kept" / entry.name)
    missing(c.a, c.folder, "is gone", "--accept-deletions")
    c.unharmed()
    for entry in list((c.where / "kept").iterdir()):
        os.rename(entry, c.source / entry.name)
    c.again()

    # a file where the folder was
    os.rename(c.source, away)
    c.source.write_bytes(b"")
    missing(c.a, c.folder)
    c.unharmed()
    os.unlink(c.source)
    os.rename(away, c.source)
    c.again()


def followers(c):
    away = c.where / "away"
    os.rename(c.dest, away)
    missing(c.b, c.folder, "missing", str(c.dest), "goes on when")
    assert not c.dest.exists()
    write(c.source / "meanwhile", b"1")
    c.b.stop()
    c.b.start()
    missing(c.b, c.folder, "missing")
    assert not c.dest.exists()
    os.rename(away, c.dest)
    c.again()
    for fill_in in (lambda: None, lambda: write(c.dest / "lost+found" / "x", b"not ours")):
        os.rename(c.dest, away)
        c.dest.mkdir()
        fill_in()
        before = tree(c.dest)
        missing(c.b, c.folder, "another", "--accept-deletions")
        write(c.source / "meanwhile", os.urandom(20))
        wait_for(lambda: c.b.status(c.folder)["seq"] == c.a.status(c.folder)["seq"], 10, "the next version")
        missing(c.b, c.folder, "another")
        assert tree(c.dest) == before, "nothing is put into a directory that is not the folder"
        shutil.rmtree(c.dest)
        os.rename(away, c.dest)
        c.again()
    # the user says so: it is filled again
    os.rename(c.dest, away)
    c.dest.mkdir()
    missing(c.b, c.folder, "another")
    c.b.xet("rescan", c.folder, "--accept-deletions")
    c.again()
    shutil.rmtree(away)
    # emptied by hand, the directory itself left: that is an edit, and the mirror is restored
    for entry in list(c.dest.iterdir()):
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else os.unlink(entry)
    c.again()


def deleted_on_purpose(c):
    for entry in list(c.source.iterdir()):
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else os.unlink(entry)
    missing(c.a, c.folder, "is gone")
    c.unharmed()
    c.a.xet("rescan", c.folder, "--accept-deletions")
    wait_for(lambda: list(c.dest.iterdir()) == [] and c.b.in_sync(c.folder) and c.a.in_sync(c.folder), 10, "the deletion")
    fill(c.source)
    c.again()


def during_a_transfer(c):
    """The follower's folder goes while it is being filled; so does the publisher's while it is being read."""
    (c.where / "slow.toml").write_text(f"[network]\nupload_limit = {4 << 20}\n")
    c.a.stop()
    c.a.config = c.where / "slow.toml"
    c.a.start()
    write(c.source / "big", random_bytes(24 << 20, 5))
    wait_for(lambda: 0 < c.b.status(c.folder)["need_bytes"] < 20 << 20, 20, "the middle of a transfer")
    away = c.where / "away"
    os.rename(c.dest, away)
    missing(c.b, c.folder, "missing")
    os.rename(away, c.dest)
    wait_for(lambda: 0 < c.b.status(c.folder)["need_bytes"] < 16 << 20, 20, "the transfer to go on")
    os.rename(c.source, away)
    missing(c.a, c.folder, "missing")
    os.rename(away, c.source)
    wait_for(lambda: tree(c.source) == tree(c.dest) and c.b.in_sync(c.folder), 20, "the rest of the transfer")
    os.unlink(c.source / "big")
    c.a.stop()
    c.a.config = None
    c.a.start()
    c.again()


def unmounted(where, a, b):
    """A real disk, on either side."""
    c = Case(where, a, b)
    mounts = []

    def mount(at):
        image = where / f"{at.parent.name}.ext4"
        if not image.exists():
            subprocess.run(["truncate", "-s", "32M", image], check=True)
            subprocess.run(["mkfs.ext4", "-q", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, at], check=True)
        mounts.append(at)

    def umount(at):
        subprocess.run(["umount", "-l", at], check=True)
        mounts.remove(at)

    try:
        c.source.mkdir(parents=True)
        mount(c.source)
        shutil.rmtree(c.source / "lost+found")
        fill(c.source)
        shared = a.share(c.source)
        c.folder = shared["folder"]
        c.dest.mkdir(parents=True)
        mount(c.dest)
        shutil.rmtree(c.dest / "lost+found")
        b.join(shared["magnet"], c.dest.parent, a.address)
        c.again()
        umount(c.source)
        missing(a, c.folder, "is gone", "not mounted")
        c.unharmed()
        mount(c.source)
        c.again()
        umount(c.dest)
        missing(b, c.folder, "another", "not mounted")
        assert tree(c.dest) == {}
        mount(c.dest)
        c.again()
    finally:
        for at in list(mounts):
            umount(at)


def main():
    with playground("a", "b") as (where, a, b):
        c = Case(where, a, b)
        c.begin()
        for step in (moved_away, followers, deleted_on_purpose, during_a_transfer):
            step(c)
            assert_settles(b, c.folder, c.dest)
        assert_same(c.source, c.dest)
    if is_root() and shutil.which("mkfs.ext4"):
        with playground("a", "b") as (where, a, b):
            unmounted(where, a, b)


main()
