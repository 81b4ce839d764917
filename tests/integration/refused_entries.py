"""What cannot be shared is named, on stderr and in the status; everything else is shared, and the exit code says that it is not all."""

import json
import os
import socket
import subprocess

from _nodes import AS_NOBODY, BIN, is_root, playground, tree, wait_for, write

# path → a word of the reason
REFUSED = {
    "absolute link": "leaves the folder",
    "up and out": "leaves the folder",
    "dir/twice up": "leaves the folder",
    "dir/through a link": "leaves the folder",
    "empty link target out": "leaves the folder",
    "pipe": "named pipe",
    "dir/socket": "socket",
    "Case": "upper and lower case",
    "case": "upper and lower case",
    "dir/STRASSE": "upper and lower case",
    "dir/straße": "upper and lower case",
    "caf\u00e9": "accents",
    "cafe\u0301": "accents",
    "Dir twins": "upper and lower case",
    "dir Twins": "upper and lower case",
}


def fill(root):
    write(root / "good", b"good")
    write(root / "dir" / "good", b"good, too")
    os.symlink("good", root / "good link")
    os.symlink("/etc/passwd", root / "absolute link")
    os.symlink("../other", root / "up and out")
    os.symlink("../../other", root / "dir" / "twice up")
    os.symlink("good/../../../x", root / "dir" / "through a link")
    os.symlink("..", root / "empty link target out")
    os.mkfifo(root / "pipe")
    # bound by a relative name: the path of a Unix socket is short
    here = os.getcwd()
    os.chdir(root / "dir")
    socket.socket(socket.AF_UNIX).bind("socket")
    os.chdir(here)
    for name in ("Case", "case", "dir/STRASSE", "dir/straße", "caf\u00e9", "cafe\u0301", "Dir twins/a", "dir Twins/b"):
        write(root / name, name.encode())
    with open(os.fsencode(root) + b"/latin \xe9", "wb") as f:
        f.write(b"not UTF-8")
    expected = dict(REFUSED)
    if is_root():
        os.mknod(root / "device", 0o600 | 0o020000, os.makedev(1, 5))
        expected["device"] = "a device"
    return expected


def shared_tree(root, expected):
    """What should arrive: everything but what is refused."""
    refused = [os.fsencode(p) for p in expected] + [b"latin \xe9"]
    return {p: v for p, v in tree(root).items() if not any(p == r or p.startswith(r + b"/") for r in refused)}


def check_names(text, expected):
    for path, reason in expected.items():
        lines = [line for line in text.splitlines() if f"not shared: {path}: " in line]
        assert len(lines) == 1 and reason in lines[0], (path, reason, text)
    assert any("not shared: latin \\xe9: " in line and "UTF-8" in line for line in text.splitlines()), text


def main():
    with playground("a", "b") as (where, a, b):
        source = where / "source" / "mixed"
        expected = fill(source)
        done = a.xet("share", source, "--json", check=False)
        assert done.returncode == 3, done
        check_names(done.stderr, expected)
        shared = json.loads(done.stdout)
        assert shared["files"] == 2, shared

        status = a.xet("status")
        check_names(status.stdout, expected)
        row = a.status(shared["folder"])
        assert len(row["refused"]) == len(expected) + 1 and row["state"] == "in-sync", row
        # sharing it again says the same again
        again = a.xet("share", source, "--json", check=False)
        assert again.returncode == 3 and json.loads(again.stdout) == shared, again
        check_names(again.stderr, expected)

        b.join(shared["magnet"], where / "dest", a.address)
        assert tree(where / "dest" / "mixed") == shared_tree(source, expected)

        made = subprocess.run([BIN / "xet-mktonic", "--key", where / "key", "-o", where / "m.tonic", source], capture_output=True, text=True)
        assert made.returncode == 3, made
        check_names(made.stderr, expected)

        # an entry that is put right is shared
        os.unlink(source / "case")
        os.unlink(source / "pipe")
        write(source / "pipe", b"a file now")
        wait_for(lambda: (where / "dest" / "mixed" / "Case").exists() and (where / "dest" / "mixed" / "pipe").is_file(), 20, "what was put right")
        wait_for(lambda: len(a.status(shared["folder"])["refused"]) == len(expected) + 1 - 3, 10, "a shorter list")

    if is_root():
        unreadable()


def unreadable():
    """What cannot be read is named, and what was published of it stays: it is unknown, not deleted."""
    with playground(("a", AS_NOBODY), "b") as (where, a, b):
        source, dest = a.data.parent / "source" / "private", where / "dest" / "private"
        for name in ("file", "dir/file", "dir/inner/file", "other"):
            write(source / name, name.encode())
        os.symlink("file", source / "dir" / "link")
        subprocess.run(["chown", "-R", "65534:65534", source], check=True)
        write(source / "root's", b"secret")
        os.chmod(source / "root's", 0o600)
        done = a.xet("share", source, "--json", check=False)
        assert done.returncode == 3 and "not shared: root's: " in done.stderr and "permission" in done.stderr, done
        shared = json.loads(done.stdout)
        b.join(shared["magnet"], where / "dest", a.address)
        before = tree(dest)
        os.chmod(source / "file", 0)
        os.chmod(source / "dir", 0)
        write(source / "another", b"so that there is a new version")
        os.chmod(source / "another", 0o644)
        wait_for(lambda: (dest / "another").exists() and b.in_sync(shared["folder"]), 20, "the next version")
        after = tree(dest)
        assert after.keys() == before.keys() | {b"another"}, after.keys() ^ before.keys()
        names = {r["path"] for r in a.status(shared["folder"])["refused"]}
        assert names == {"root's", "file", "dir"}, names


main()
