"""`xet verify` names every kind of difference; `xet status --why` has a sentence for every state; output is JSON lines; exit codes are those of --help."""

import json
import os
import shutil
import subprocess

from _nodes import AS_NOBODY, BIN, is_root, playground, random_bytes, wait_for, write


def fill(root):
    for name in ("content", "longer", "mode", "time", "gone", "becomes a dir", "becomes a link", "new\nline", "sub/deep/file"):
        write(root / name, name.encode() * 100)
    (root / "dir mode").mkdir()
    (root / "dir time").mkdir()
    (root / "dir gone").mkdir()
    (root / "dir becomes a file").mkdir()
    for link in ("link target", "link gone", "link time", "link becomes a file"):
        os.symlink("content", root / link)
    for path in root.rglob("*"):
        os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)


def spoil(root):
    """Every kind of difference, and what verify says of it."""
    write(root / "content", b"x" * len("content") * 100)
    os.utime(root / "content", ns=(10**18, 10**18))
    write(root / "longer", b"longer" * 101)
    os.chmod(root / "mode", 0o600)
    os.utime(root / "time", ns=(10**18, 10**18 + 1))
    os.unlink(root / "gone")
    os.unlink(root / "becomes a dir")
    (root / "becomes a dir").mkdir()
    os.unlink(root / "becomes a link")
    os.symlink("content", root / "becomes a link")
    os.chmod(root / "dir mode", 0o700)
    os.rmdir(root / "dir gone")
    os.rmdir(root / "dir becomes a file")
    write(root / "dir becomes a file", b"")
    os.unlink(root / "link target")
    os.symlink("longer", root / "link target")
    os.unlink(root / "link gone")
    os.utime(root / "link time", ns=(5, 5), follow_symlinks=False)
    os.unlink(root / "link becomes a file")
    write(root / "link becomes a file", b"")
    write(root / "extra", b"")
    os.symlink("content", root / "extra link")
    (root / "extra dir").mkdir()
    os.mkfifo(root / "extra pipe")
    os.unlink(root / "new\nline")
    # last, for the others change it
    os.utime(root / "dir time", ns=(5, 5))
    return {
        ("content", "content differs"), ("longer", "content differs"), ("longer", "time differs"), ("mode", "mode differs"), ("time", "time differs"),
        ("gone", "missing"), ("becomes a dir", "missing"), ("becomes a dir", "not in the version"), ("becomes a link", "missing"),
        ("becomes a link", "not in the version"), ("dir mode", "mode differs"), ("dir time", "time differs"), ("dir gone", "missing"),
        ("dir becomes a file", "missing"), ("dir becomes a file", "not in the version"), ("link target", "link target differs"),
        ("link target", "time differs"), ("link gone", "missing"), ("link time", "time differs"), ("link becomes a file", "missing"),
        ("link becomes a file", "not in the version"), ("extra", "not in the version"), ("extra link", "not in the version"),
        ("extra dir", "not in the version"), ("new\nline", "missing"),
    }


def run(*args, prefix=()):
    return subprocess.run([*prefix, BIN / "xet", *map(str, args)], capture_output=True, text=True, timeout=30)


def verify(where):
    source = where / "source" / "album"
    fill(source)
    subprocess.run([BIN / "xet-mktonic", "--key", where / "key", "-o", where / "album.tonic", source], check=True, capture_output=True)
    copy = where / "album"
    shutil.copytree(source, copy, symlinks=True)
    none = ("--data", where / "no node")
    same = run(*none, "verify", copy)
    assert same.returncode == 0 and same.stdout == "" and "identical: 9 files" in same.stderr, same
    same = run(*none, "verify", copy, "--json")
    assert same.returncode == 0 and same.stdout == "", same

    expected = spoil(copy)
    different = run(*none, "verify", copy, "--tonic", where / "album.tonic", "--json")
    assert different.returncode == 1, different
    rows = [json.loads(line) for line in different.stdout.splitlines()]
    found = {(r["path"], r["difference"]) for r in rows}
    assert len(found) == len(rows), "each is named once"
    pipe = {f for f in found if f[0] == "extra pipe"}
    assert found - pipe == expected, found ^ expected
    assert len(pipe) == 1 and "pipe" in pipe.pop()[1]
    text = run(*none, "verify", copy)
    assert text.returncode == 1 and f"{len(rows)} differences" in text.stderr, text.stderr
    assert len(text.stdout.splitlines()) == len(rows) and "new\\nline: missing" in text.stdout, text.stdout

    for args in ((where / "missing",), (where / "source",), (copy, "--tonic", where / "missing.tonic"), (copy, "--tonic", copy / "content"), (where / "key", "--tonic", where / "album.tonic")):
        done = run(*none, "verify", *args)
        assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("xet: "), (args, done)
        assert str(args[-1]) in done.stderr or str(args[0]) in done.stderr, done.stderr
    assert run(*none, "verify").returncode == 2
    if is_root():
        # what cannot be read is a difference, too
        os.chmod(where, 0o755)
        shutil.rmtree(copy)
        shutil.copytree(source, copy, symlinks=True)
        os.chmod(copy / "content", 0)
        os.chmod(copy / "sub", 0)
        done = run(*none, "verify", copy, prefix=AS_NOBODY)
        assert done.returncode == 1 and "content: cannot be read" in done.stdout and "sub: " in done.stdout and "sub/deep: missing" not in done.stdout, done


def chunk(where):
    data = random_bytes(1 << 20)
    write(where / "file", data)
    done = run("chunk", "--json", where / "file")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and sum(r["length"] for r in rows[:-1]) == rows[-1]["size"] == len(data), done
    for args, code in (((where / "missing",), 1), ((where,), 1), ((where / "file", "--profile", "md5"), 2), ((), 2)):
        done = run("chunk", *args)
        assert done.returncode == code and done.stderr, (args, done)


def why(node, folder, path, *words):
    done = node.xet("status", folder, "--why", path)
    text = done.stdout.strip()
    assert done.stderr == "" and "\n" not in text and len(text) > 10, done
    for word in words:
        assert word in text, (word, text)
    row = json.loads(node.xet("status", folder, "--why", path, "--json").stdout)
    assert row == {"path": path, "why": text}, row
    return text


def status(where, a, b):
    source, dest = where / "source" / "book", where / "dest" / "book"
    for i in range(5):
        write(source / f"{i}", random_bytes(2 << 20, i))
    write(source / "dir" / "file", b"f")
    os.symlink("1", source / "link")
    os.mkfifo(source / "pipe")
    (where / "slow.toml").write_text(f"[network]\nupload_limit = {1 << 20}\n")
    a.stop()
    a.config = where / "slow.toml"
    a.start()
    shared = a.share(source, codes=(3,))
    assert why(a, shared["folder"], "1", "in sync")
    why(a, shared["folder"], "pipe", "not shared", "pipe", "It will be")
    why(a, shared["folder"], "nothing like that", "not part of")
    why(a, "book", "dir/file", "in sync")
    why(a, shared["infohash"], "dir", "in sync")
    why(a, source, "link", "in sync")
    # as it may be typed
    why(a, "book", "./dir/file", "in sync")
    why(a, "book", "dir/", "in sync")
    why(a, "book", str(source / "dir" / "file"), "in sync")

    # nothing known yet: only the link, and nobody to ask
    b.join(shared["link"], dest.parent, wait=False)
    why(b, "book", "1", "no version", "waiting for a peer")
    b.xet("leave", "book")
    # the content is known, but nobody to ask for it
    b.join(shared["tonic"], dest.parent, wait=False, extra=("--reuse",))
    wait_for(lambda: b.status("book")["state"] == "syncing", 10, "syncing")
    why(b, "book", "1", "no peer is connected", "goes on")
    why(b, "book", "nothing like that", "not part of")
    # on its way
    b.join(shared["tonic"], dest.parent, a.address, wait=False)
    wait_for(lambda: 0 < b.status("book")["need_bytes"] < 9 << 20, 15, "half of it")
    done = [p for p in dest.iterdir() if p.is_file()]
    missing = [str(i) for i in range(5) if not (dest / str(i)).exists()]
    why(b, "book", missing[0], "still to be fetched", "1 peer.")
    if done:
        why(b, "book", done[0].name)
    a.stop()
    a.config = None
    a.start()
    wait_for(lambda: b.in_sync("book"), 20, "in sync")
    why(b, "book", "1", "in sync")
    write(dest / "mine", b"mine")
    why(b, "book", "mine", "not part of", "stay here")
    write(dest / "1", b"edited")
    aside = wait_for(lambda: b.status("book")["local_edits"], 10, "the edit")[0]
    why(b, "book", aside, "local edit", "kept aside")
    # errors
    os.rename(dest, where / "away")
    wait_for(lambda: b.status("book")["failed"], 10, "the missing folder")
    why(b, "book", "1", "missing", "goes on")
    os.rename(where / "away", dest)
    wait_for(lambda: b.in_sync("book"), 10, "in sync")

    # a path needs its folder, a folder has to be there
    for args in (("--why", "1"), ("nothing of that name",), ("nothing of that name", "--why", "1")):
        done = b.xet("status", *args, check=False)
        assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("xet: "), (args, done)


def json_lines(a, b):
    for node in (a, b):
        for args in (("status",), ("stats",), ("status", "book")):
            done = node.xet(*args, "--json")
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            assert len(rows) == 1 and done.stderr == "", done
    row = json.loads(a.xet("status", "--json").stdout)
    for key, kind in {"folder": str, "name": str, "state": str, "files": int, "bytes": int, "need_bytes": int, "peers": int, "version": str, "path": str,
                      "infohash": str, "problem": str, "failed": bool, "local_edits": list, "refused": list, "role": str}.items():
        assert isinstance(row[key], kind), (key, row)
    # nothing but JSON, also when there is nothing or nobody
    b.xet("leave", "book")
    assert b.xet("status", "--json").stdout == ""
    assert b.xet("status").stdout.startswith("no folders")
    b.stop()
    done = b.xet("status", "--json", check=False)
    assert done.returncode == 1 and done.stdout == "" and "xetd" in done.stderr, done
    b.start()


def main():
    with playground() as (where,):
        verify(where)
        chunk(where)
    with playground("a", "b") as (where, a, b):
        status(where, a, b)
        # verify finds the node's own version
        assert b.xet("verify", where / "dest" / "book", check=False).returncode == 1  # the local edit, and what was made there
        json_lines(a, b)


main()
