"""Names, modes, times, links and empty things that a file system allows arrive as they are; for root and for other users."""

import os
import shutil
import subprocess

from _nodes import AS_NOBODY, assert_same, assert_settles, is_root, playground, random_bytes, tree, wait_for, write

MANY_FILES = 2000

NAMES = [
    "two  spaces", " leading", "trailing ", "'single' \"double\" `back`", "new\nline", "tab\there", "back\\slash", "star * ? [a] {b}", "-rf", "--help",
    "$HOME", "%41", "#hash", "semi;colon", "pipe|", "\x01\x7f", "ünïcödé", "日本語 ファイル", "emoji 👩‍👩‍👧", "عربى", "\u202egpj.exe",
    ".hidden", "..two dots", "...", "a.ut_xet", "x.partial", "CON", "nul.txt", "a:b", "z" * 255, "é" * 127, "☃" * 85,
]


def fill(root):
    for i in range(MANY_FILES):
        write(root / f"many {i % 40}" / f"file {i}", f"{i}\n".encode() * (i % 50))
    for i, name in enumerate(NAMES):
        write(root / "names" / name, name.encode() + b"!")
        write(root / "directories" / name / name, random_bytes(100 + i, i))
        os.symlink(name, root / "names" / f"to {i}")
    deep = root / "/".join("d" * 100 for _ in range(30))
    write(deep / "deep", b"deep")
    for i in range(3):
        write(root / f"empty {i}", b"")
    (root / "nothing" / "in" / "here").mkdir(parents=True)
    (root / "nothing else").mkdir()

    write(root / "modes" / "program", b"#!/bin/sh\n")
    for mode in (0o755, 0o700, 0o400, 0o444, 0o600, 0o666, 0o777, 0o640, 0o111 | 0o400):
        write(root / "modes" / f"{mode:o}", b"%o" % mode)
        os.chmod(root / "modes" / f"{mode:o}", mode)
    for mode in (0o555, 0o500, 0o700, 0o777, 0o750):
        write(root / f"dir {mode:o}" / "file", b"in a directory")
        (root / f"dir {mode:o}" / "sub").mkdir()
        os.symlink("file", root / f"dir {mode:o}" / "link")

    links = root / "links"
    write(links / "here" / "file", b"target")
    for name, target in {"to file": "here/file", "to dir": "here", "dangling": "nowhere", "up": "../empty 0", "dot": ".", "self": "self", "slash": "here/", "odd\nname": "new\nline"}.items():
        os.symlink(target, links / name)

    times = root / "times"
    for name, ns in {"odd": 1234567890_987654321, "epoch": 0, "before": -1_500_000_000, "future": 4102444800_000000001}.items():
        write(times / name, name.encode())
        os.utime(times / name, ns=(ns, ns))
        os.symlink(name, times / f"link {name}")
        os.utime(times / f"link {name}", ns=(ns, ns), follow_symlinks=False)
        (times / f"dir {name}").mkdir()
        os.utime(times / f"dir {name}", ns=(ns, ns))
    # last: a directory's mode would not let its owner put the rest in
    for mode in (0o555, 0o500, 0o700, 0o777, 0o750):
        os.chmod(root / f"dir {mode:o}", mode)
        os.utime(root / f"dir {mode:o}", ns=(mode, mode))


def check(a, b, where, source, dest):
    shared = a.share(source)
    assert shared["files"] > MANY_FILES, shared
    b.join(shared["magnet"], dest, a.address)
    assert_same(source, dest / source.name)
    assert_settles(b, shared["folder"], dest)
    row = b.status(shared["folder"])
    assert row["local_edits"] == [] and row["problem"] == "", row

    # edits inside of directories that may not be written
    for mode in ("555", "500"):
        os.chmod(source / f"dir {mode}", 0o700)
        write(source / f"dir {mode}" / "file", b"another content")
        write(source / f"dir {mode}" / "new", b"new")
        os.unlink(source / f"dir {mode}" / "link")
        os.chmod(source / f"dir {mode}", int(mode, 8))
    os.chmod(source / "modes" / "400", 0o600)
    write(source / "modes" / "400", b"changed")
    os.chmod(source / "modes" / "400", 0o400)
    os.chmod(source / "modes" / "program", 0o755)
    os.chmod(source / "nothing", 0o700)
    os.utime(source / "links" / "dangling", ns=(5, 5), follow_symlinks=False)
    wait_for(lambda: tree(source) == tree(dest / source.name), 20, "edits of odd things")
    assert_settles(b, shared["folder"], dest)
    assert b.status(shared["folder"])["local_edits"] == []
    verified = b.xet("verify", dest / source.name, check=False)
    assert verified.returncode == 0, verified
    print(shared["files"], "files")


def closed_to_the_follower():
    """What root publishes, its follower may not be able to read, list or enter: it arrives all the same, and can be changed."""
    with playground("a", ("b", AS_NOBODY)) as (where, a, b):
        source, dest = where / "source" / "closed", b.data.parent / "dest"
        for mode in (0o000, 0o200, 0o311, 0o444, 0o555, 0o100):
            d = source / f"dir {mode:03o}"
            write(d / "file", b"%o" % mode)
            write(d / "inner" / "file", b"%o" % mode)
            os.symlink("file", d / "link")
            write(source / f"file {mode:03o}", b"%o" % mode)
            os.chmod(source / f"file {mode:03o}", mode)
            os.chmod(d / "inner", mode)
            os.chmod(d, mode)
        shared = a.share(source)
        b.join(shared["magnet"], dest, a.address)
        assert_same(source, dest / "closed")
        assert_settles(b, shared["folder"], dest)
        for mode in ("000", "311", "444", "555"):
            write(source / f"dir {mode}" / "file", b"changed")
            write(source / f"dir {mode}" / "inner" / "new", b"new")
            os.unlink(source / f"dir {mode}" / "link")
        os.unlink(source / "file 000")
        shutil.rmtree(source / "dir 200")
        shutil.rmtree(source / "dir 100")
        wait_for(lambda: tree(source) == tree(dest / "closed"), 20, "changes in closed directories")
        assert_settles(b, shared["folder"], dest)
        assert b.status(shared["folder"])["local_edits"] == []


def main():
    with playground("a", "b") as (where, a, b):
        source = where / "source" / "odd 'things'"
        fill(source)
        check(a, b, where, source, where / "dest")
    if not is_root():
        return
    with playground(("a", AS_NOBODY), ("b", AS_NOBODY)) as (where, a, b):
        source = a.data.parent / "source" / "odd"
        fill(source)
        subprocess.run(["chown", "-Rh", "65534:65534", source.parent], check=True)
        check(a, b, where, source, b.data.parent / "dest")
    closed_to_the_follower()


main()
