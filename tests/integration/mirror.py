"""A joined folder is a mirror: what is done in it by hand is kept aside and reported, never lost, and the published version comes back."""

import os
import re
import shutil
import time

from _nodes import assert_same, assert_settles, playground, random_bytes, tree, wait_for, write

ASIDE = re.compile(r" \(local edit \d{4}-\d\d-\d\d \d{6}( \d+)?\)")


def fill(root):
    for i in range(20):
        write(root / f"d{i % 4}" / f"{i}.txt", f"published {i}\n".encode() * 50)
    write(root / "big.bin", random_bytes(3 << 20))
    write(root / "plain", b"published")
    write(root / "noext.tar.gz", b"published")
    write(root / "z" / ("z" * 251 + ".txt"), b"a name at the limit")
    os.symlink("plain", root / "link")
    os.symlink("d1", root / "dirlink")
    (root / "empty dir").mkdir()
    (root / "tree" / "below").mkdir(parents=True)
    write(root / "tree" / "below" / "leaf", b"leaf")


def without_kept(root):
    """What is below root but for what was kept aside or made here."""
    return {p: v for p, v in tree(root).items() if not ASIDE.search(os.fsdecode(p)) and not os.fsdecode(p).startswith("mine")}


def content(path):
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


class Mirror:
    def __init__(self, a, b, source, dest, folder):
        self.a, self.b, self.source, self.dest, self.folder = a, b, source, dest, folder
        self.expected = set()

    def restored(self):
        try:
            return without_kept(self.dest) == tree(self.source) and self.b.in_sync(self.folder)
        except OSError:  # it changed while it was looked at
            return False

    def kept(self, path, content=None):
        """Path is now kept aside; content is a function that looks at what was kept, given its path."""
        stem, dot, extension = path.rpartition(".") if "." in path.rsplit("/", 1)[-1] else (path, "", "")
        pattern = re.compile(re.escape(stem)[:200] + ".*" + ASIDE.pattern + re.escape(dot + extension) + "$", re.S)

        def found():
            edits = self.b.status(self.folder)["local_edits"]
            return [e for e in edits if pattern.match(e) and e not in self.expected]

        wait_for(lambda: self.restored() and found(), 15, f"{path} to be kept aside and restored; status {self.b.status(self.folder)}")
        names = found()
        assert len(names) == 1, (path, names)
        self.expected.add(names[0])
        if content:
            assert content(self.dest / names[0]), (path, names[0])
        why = self.b.xet("status", self.folder, "--why", names[0]).stdout
        assert "kept aside" in why, why

    def replace(self, path, make):
        """Something else in the place of what is at path, before the node can put it back."""
        for attempt in range(100):
            os.rename(self.dest / path, self.dest.parent / f"moved away {attempt} {time.time_ns()}")
            try:
                return make(self.dest / path)
            except OSError:  # it was put back already
                continue

    def unchanged(self):
        """Everything that was kept is still there, and nothing more is reported."""
        row = self.b.status(self.folder)
        assert set(row["local_edits"]) == self.expected, set(row["local_edits"]) ^ self.expected
        for name in self.expected:
            assert os.path.lexists(self.dest / name), name
        assert row["problem"] == "" and not row["failed"], row
        text = self.b.xet("status", self.folder).stdout
        for name in self.expected:
            assert f"local edit kept aside: {name}" in text, (name, text)


def while_running(m):
    dest = m.dest
    write(dest / "plain", b"edited here")
    m.kept("plain", lambda p: p.read_bytes() == b"edited here")
    write(dest / "noext.tar.gz", b"edited here")
    m.kept("noext.tar.gz", lambda p: p.read_bytes() == b"edited here")
    name = "z/" + "z" * 251 + ".txt"
    write(dest / name, b"edited at the limit")
    m.kept(name, lambda p: p.read_bytes() == b"edited at the limit" and len(p.name.encode()) <= 255)
    with open(dest / "big.bin", "r+b") as f:
        f.seek(1 << 20)
        f.write(b"!")
    m.kept("big.bin", lambda p: p.stat().st_size == 3 << 20 and p.read_bytes() != random_bytes(3 << 20))

    # twice the same file in one second: both are kept
    write(dest / "d0" / "0.txt", b"first")
    m.kept("d0/0.txt", lambda p: p.read_bytes() == b"first")
    write(dest / "d0" / "0.txt", b"second")
    m.kept("d0/0.txt", lambda p: p.read_bytes() == b"second")

    # no content of anybody's is in these: they simply come back
    os.unlink(dest / "d1" / "1.txt")
    shutil.rmtree(dest / "d2")
    os.unlink(dest / "link")
    os.rmdir(dest / "empty dir")
    os.chmod(dest / "d3" / "3.txt", 0o600)
    os.utime(dest / "d3" / "7.txt")
    os.chmod(dest / "d3", 0o700)
    wait_for(m.restored, 15, "what was deleted")

    # one kind of thing in the place of another
    m.replace("plain", lambda p: write(p / "inside", b"a directory here"))
    m.kept("plain", lambda p: (p / "inside").read_bytes() == b"a directory here")
    m.replace("tree", lambda p: p.write_bytes(b"a file here"))
    m.kept("tree", lambda p: p.read_bytes() == b"a file here")
    m.replace("d1/5.txt", lambda p: os.symlink("9.txt", p))
    m.kept("d1/5.txt", lambda p: os.readlink(p) == "9.txt")
    m.replace("link", lambda p: os.symlink("big.bin", p))
    m.kept("link", lambda p: os.readlink(p) == "big.bin")
    m.replace("dirlink", lambda p: write(p / "real" / "file", b"a real directory"))
    m.kept("dirlink", lambda p: (p / "real" / "file").read_bytes() == b"a real directory")
    m.replace("d3", lambda p: os.symlink("d1", p))
    m.kept("d3", lambda p: os.readlink(p) == "d1")
    m.replace("d0/4.txt", os.mkfifo)
    m.kept("d0/4.txt")
    os.rename(dest / "d2", dest / "mine, renamed")
    wait_for(m.restored, 15, "a directory that was renamed")
    m.unchanged()


def additions(m):
    """What is made here stays here: it is in nobody's way."""
    write(m.dest / "mine.txt", b"mine")
    write(m.dest / "mine" / "deep" / "file", b"mine")
    write(m.dest / "tree" / "below" / "mine too", b"mine")
    write(m.source / "from the publisher", b"new")
    wait_for(lambda: (m.dest / "from the publisher").exists() and m.b.in_sync(m.folder), 15, "a new file")
    assert (m.dest / "mine.txt").read_bytes() == b"mine"
    why = m.b.xet("status", m.folder, "--why", "mine.txt").stdout
    assert "not part of the published version" in why, why
    # the publisher makes one of the same name
    write(m.source / "mine.txt", b"the publisher's")
    wait_for(lambda: content(m.dest / "mine.txt") == b"the publisher's" and m.b.in_sync(m.folder), 15, "the publisher's file")
    aside = [e for e in m.b.status(m.folder)["local_edits"] if e.startswith("mine (")]
    assert len(aside) == 1 and (m.dest / aside[0]).read_bytes() == b"mine", aside
    m.expected.add(aside[0])
    os.unlink(m.source / "mine.txt")
    # the directory goes; what was made in it stays
    shutil.rmtree(m.source / "tree")
    wait_for(lambda: not (m.dest / "tree" / "below" / "leaf").exists() and m.b.in_sync(m.folder), 15, "a removed directory")
    assert (m.dest / "tree" / "below" / "mine too").read_bytes() == b"mine"
    shutil.rmtree(m.dest / "tree")
    wait_for(lambda: not (m.dest / "mine.txt").exists() and m.restored(), 15, "a removed file")


def both_edit(m):
    """The publisher edits, deletes and replaces what is edited here, at the same time."""
    for i in range(5):
        write(m.source / "d1" / "1.txt", f"publisher's {i}".encode() * 1000)
        write(m.dest / "d1" / "1.txt", f"mine {i}".encode())
        m.kept("d1/1.txt", lambda p: p.read_bytes() == f"mine {i}".encode())
    write(m.dest / "d1" / "9.txt", b"edited, and deleted over there")
    os.unlink(m.source / "d1" / "9.txt")
    m.kept("d1/9.txt", lambda p: p.read_bytes() == b"edited, and deleted over there")
    write(m.dest / "d2" / "2.txt", b"edited, and a directory over there")
    os.unlink(m.source / "d2" / "2.txt")
    write(m.source / "d2" / "2.txt" / "file", b"now a directory")
    m.kept("d2/2.txt", lambda p: p.read_bytes() == b"edited, and a directory over there")
    # the same edit on both sides is no conflict
    for root in (m.source, m.dest):
        write(root / "d1" / "13.txt", b"we agree")
    wait_for(m.restored, 15, "an edit both made")
    m.unchanged()


def without_peers(m):
    """An edit stays in its place as long as there is nothing to put there; what is still good of it is not fetched again."""
    m.a.stop()
    edited = random_bytes(3 << 20)[:-1] + b"!"
    write(m.dest / "big.bin", edited)
    wait_for(lambda: m.b.status(m.folder)["need_bytes"] > 0, 10, "the edit to be seen")
    assert (m.dest / "big.bin").read_bytes() == edited
    why = m.b.xet("status", m.folder, "--why", "big.bin").stdout
    assert "no peer is connected" in why, why
    fetched = m.b.stats()["chunk_bytes_in"]
    m.a.start()
    m.kept("big.bin", lambda p: p.read_bytes() == edited)
    assert m.b.stats()["chunk_bytes_in"] - fetched < 512 << 10, "one changed byte cost the whole file"


def while_down(m):
    m.b.stop()
    write(m.dest / "plain", b"edited while down")
    os.unlink(m.dest / "d1" / "17.txt")
    os.unlink(m.dest / "link")
    os.symlink("d1/1.txt", m.dest / "link")
    write(m.dest / "mine, too", b"mine")
    m.b.start()
    m.kept("plain", lambda p: p.read_bytes() == b"edited while down")
    m.kept("link", lambda p: os.readlink(p) == "d1/1.txt")
    # both sides change while this one is down, and it was killed
    m.b.kill()
    write(m.dest / "big.bin", b"short now")
    write(m.dest / "d3" / "3.txt", b"edited while down")
    write(m.dest / "d3" / "11.txt", b"edited while down, deleted over there")
    write(m.source / "big.bin", random_bytes(1 << 20, 7))
    os.unlink(m.source / "d3" / "11.txt")
    os.rename(m.source / "d3" / "3.txt", m.source / "d3" / "renamed.txt")
    wait_for(lambda: m.a.status(m.folder)["files"] == len([v for v in tree(m.source).values() if v[0] == "file"]), 10, "the new version")
    m.b.start()
    m.kept("big.bin", lambda p: p.read_bytes() == b"short now")
    m.kept("d3/3.txt", lambda p: p.read_bytes() == b"edited while down")
    m.kept("d3/11.txt", lambda p: p.read_bytes() == b"edited while down, deleted over there")
    m.unchanged()


def main():
    with playground("a", "b") as (where, a, b):
        source, dest = where / "source" / "book", where / "dest" / "book"
        fill(source)
        shared = a.share(source)
        b.join(shared["magnet"], where / "dest", a.address)
        assert_same(source, dest)
        m = Mirror(a, b, source, dest, shared["folder"])
        for step in (while_running, additions, both_edit, without_peers, while_down):
            step(m)
            assert_settles(b, shared["folder"], dest)
            m.unchanged()
        # what was kept is deleted by hand: nothing is reported any more
        for name in m.expected:
            shutil.rmtree(dest / name) if (dest / name).is_dir() and not (dest / name).is_symlink() else os.unlink(dest / name)
        wait_for(lambda: b.status(shared["folder"])["local_edits"] == [], 15, "an empty list of local edits")
        assert tree(source).keys() <= tree(dest).keys()
        assert a.status(shared["folder"])["seq"] == b.status(shared["folder"])["seq"]
        print(len(m.expected), "local edits kept")


main()
