"""Places where nothing can be put or shared are refused with a reason, and left as they were; so are bad names and options."""

import json
import os
import pathlib
import shutil
import subprocess

from _nodes import AS_NOBODY, BIN, assert_same, is_root, playground, tree, wait_for, write


def refused(node, *args, words=(), code=1):
    before = node.status()
    done = node.xet(*args, check=False, timeout=20)
    assert done.returncode == code, (args, done)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("xet: ") or code == 2, done.stderr
    for word in words:
        assert word in last, (word, last)
    assert done.stdout == "", done.stdout
    assert node.process.poll() is None, node.log()
    assert node.status() == before, (args, before, node.status())
    if os.environ.get("SHOW"):
        print(last)


def destinations(where, a, b):
    source = where / "source" / "photos"
    write(source / "one", b"1")
    shared = a.share(source)
    for kind in ("magnet", "link", "torrent", "tonic"):
        join = lambda dest, *words, args=(): refused(b, "join", shared[kind], dest, "--peer", a.address, "--wait", *args, words=words)
        place = where / f"places {kind}"
        write(place / "a file", b"")
        join(place / "a file", "not a directory", str(place / "a file"))
        join(place / "a file" / "below", "not a directory")
        write(place / "taken" / "photos" / "mine", b"mine")
        join(place / "taken", "not empty", str(place / "taken" / "photos"), "--reuse")
        write(place / "taken by a file" / "photos", b"mine")
        join(place / "taken by a file", "not")
        join(place / "taken by a file", "not", args=("--reuse",))
        (place / "taken by a link").mkdir()
        os.symlink("nowhere", place / "taken by a link" / "photos")
        join(place / "taken by a link", str(place / "taken by a link" / "photos"))
        join(b.data / "folders", "data directory")
        join("/proc", "/proc")
        join("/sys/fs", "/sys/fs")
        assert tree(place) == {k: v for k, v in tree(place).items()}
        assert (place / "taken" / "photos" / "mine").read_bytes() == b"mine" and os.listdir(place / "taken" / "photos") == ["mine"]
        assert (place / "taken by a file" / "photos").read_bytes() == b"mine"
    # the publisher's own node, below its folder and beside it
    refused(a, "join", shared["magnet"], where / "elsewhere", words=("shares that folder itself", str(source)))

    b.join(shared["magnet"], where / "dest", a.address)
    dest = where / "dest" / "photos"
    # the same again is no error, another place is one
    assert b.join(shared["tonic"], where / "dest").returncode == 0
    refused(b, "join", shared["magnet"], where / "elsewhere", words=("already joined", str(dest)))
    # below a folder of this node, or above it
    other = where / "source" / "other"
    write(other / "x", b"x")
    os.symlink(dest, where / "way in")
    second = a.share(other)
    for kind in ("magnet", "torrent"):
        refused(b, "join", second[kind], dest, "--peer", a.address, "--wait", words=("inside each other",))
        refused(b, "join", second[kind], dest / "deeper" / "still", "--peer", a.address, "--wait", words=("inside each other",))
        refused(b, "join", second[kind], where / "way in", "--peer", a.address, "--wait", words=("inside each other",))
    assert_same(source, dest)
    refused(b, "share", dest, words=("already",))
    refused(b, "share", dest.parent, words=("inside each other",))
    (dest / "made here").mkdir()
    refused(b, "share", dest / "made here", words=("inside each other",))
    # what is there already is taken over when asked for; what differs is kept aside
    write(where / "taken" / "other" / "x", b"not the same")
    b.join(second["magnet"], where / "taken", a.address, extra=("--reuse",))
    assert (where / "taken" / "other" / "x").read_bytes() == b"x"
    assert len(b.status(second["folder"])["local_edits"]) == 1
    # a destination that is not there yet is made, also below a link
    for words in (("leave", "photos"), ("leave", dest)):
        b.xet(*words, check=words == ("leave", "photos"))
    assert dest.exists() and b.status() != [] and len(b.status()) == 1


def not_writable(where, a):
    """For a user that is not root, and where nobody can write."""
    source = where / "source" / "photos"
    write(source / "one", b"1")
    shared = a.share(source)
    with playground(("n", AS_NOBODY)) as (here, n):
        closed = here / "closed"
        closed.mkdir()
        for kind in ("magnet", "link", "torrent", "tonic"):
            copy = here / f"copy.{kind}"
            given = shared[kind]
            if kind in ("torrent", "tonic"):
                given = copy
                shutil.copy(shared[kind], copy)
                os.chmod(copy, 0o644)
            refused(n, "join", given, closed, "--peer", a.address, "--wait", words=(str(closed), "ermission denied"))
            refused(n, "join", given, closed / "deeper" / "still", "--peer", a.address, "--wait", words=(str(closed), "ermission denied"))
        assert os.listdir(closed) == []
        write(here / "private" / "x", b"")
        os.chmod(here / "private", 0o700)
        refused(n, "share", here / "private", words=(str(here / "private"),))
    read_only = where / "read-only"
    read_only.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", read_only], check=True)
    try:
        with playground("n") as (here, n):
            refused(n, "join", shared["magnet"], read_only, "--peer", a.address, "--wait", words=(str(read_only), "ead-only"))
    finally:
        subprocess.run(["umount", "-l", read_only], check=True)


def shares(where, a):
    refused(a, "share", where / "missing", words=("no such", str(where / "missing")))
    refused(a, "share", write(where / "a file", b""), words=("not a directory", str(where / "a file")))
    refused(a, "share", "", code=2)
    refused(a, "join", "magnet:?xt=urn:btih:" + "a" * 40, "", code=2)
    refused(a, "share", "/", words=("data directory",))
    refused(a, "share", where, words=("data directory",))
    refused(a, "share", a.data, words=("data directory",))
    refused(a, "share", "/dev/null", words=("not a directory",))
    one = where / "shares" / "one"
    write(one / "x", b"x")
    for args in (("--profile", "md5"), ("--target", "1000"), ("--target", "12x"), ("--target", "-5"), ("--target", "65536000"), ("--profile", "hf", "--target", "8192"),
                 ("--name", "a/b"), ("--name", ".."), ("--name", ".hidden"), ("--name", "x" * 300), ("--name", "new\nline"), ("--tracker", "nonsense")):
        refused(a, "share", one, *args, words=(args[-2][2:] if args[-2] != "--target" else "",), code=2)
        made = subprocess.run([BIN / "xet-mktonic", "--key", where / "key", "-o", where / "refused.tonic", *args, one], capture_output=True, text=True)
        assert made.returncode == 2 and made.stderr and not (where / "refused.tonic").exists(), (args, made)
    first = a.share(one, "--name", "first")
    refused(a, "share", a.data / "folders", words=("data directory",))
    assert a.share(one) == first, "the same again"
    assert a.share(str(one) + "/") == first
    os.symlink(one, where / "shares" / "link")
    assert a.share(where / "shares" / "link") == first, "the same folder through a link"
    refused(a, "share", one, "--name", "second", words=("already",))
    refused(a, "share", one / "..", words=("inside each other",))
    (one / "sub").mkdir()
    refused(a, "share", one / "sub", words=("inside each other",))
    # names of directories that are no good as names of folders
    for name in (b".hidden", b"latin \xe9", b"new\nline"):
        path = os.path.join(os.fsencode(where), b"shares", name)
        os.mkdir(path)
        done = subprocess.run([BIN / "xet", "--data", a.data, "share", path], capture_output=True)
        assert done.returncode == 1 and b"--name" in done.stderr, done
        done = subprocess.run([BIN / "xet", "--data", a.data, "share", path, "--name", "good"], capture_output=True)
        assert done.returncode == 0, done
        done = subprocess.run([BIN / "xet", "--data", a.data, "status", path], capture_output=True)
        assert done.returncode == 0, done
        assert subprocess.run([BIN / "xet", "--data", a.data, "leave", path]).returncode == 0
    # paths as they are typed: relative to where the command runs
    done = subprocess.run([BIN / "xet", "--data", a.data, "leave", "one"], cwd=one.parent, capture_output=True)
    assert done.returncode == 0, done
    refused(a, "leave", "nothing of that name", words=("nothing of that name", "xet status"))
    refused(a, "rescan", "nothing of that name", words=("nothing of that name",))
    refused(a, "status", "nothing of that name", words=("nothing of that name",))
    # two folders of one name are two folders
    for place in ("x", "y"):
        write(where / place / "same" / place, b"")
    assert a.share(where / "x" / "same")["folder"] != a.share(where / "y" / "same")["folder"]


def without_a_node(where):
    for args in (["status"], ["share", where], ["join", "magnet:?xt=urn:btih:" + "a" * 40, where], ["leave", "x"], ["stats"], ["rescan", "x"]):
        for data in (where / "no node", where / "a file", "/dev/null", "/proc/1"):
            done = subprocess.run([BIN / "xet", "--data", data, *args], capture_output=True, text=True, timeout=20)
            assert done.returncode == 1 and str(data) in done.stderr and "xetd" in done.stderr, (args, data, done)
    assert not (where / "no node").exists()


def main():
    with playground("a", "b") as (where, a, b):
        destinations(where, a, b)
    with playground("a") as (where, a):
        shares(where, a)
        without_a_node(where)
    if is_root():
        with playground("a") as (where, a):
            not_writable(where, a)


main()
