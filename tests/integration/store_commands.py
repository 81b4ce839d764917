"""Every store command as a user runs it: by itself on a data directory, and asked of a running node."""

import json
import os
import pathlib
import socket
import subprocess
import tempfile

from _nodes import AS_NOBODY, BIN, is_root, playground, random_bytes, wait_for, write

CHUNK_KEYS = {"hash", "size", "stored", "refs", "profile", "xorb"}
FILE_KEYS = {"path", "hash", "size", "profile", "shard"}
FIGURES = {"chunks", "unique_bytes", "logical_bytes", "dedup_ratio", "xorb_bytes", "compressed_saved_bytes", "in_place_bytes", "quota_bytes"}
NOWHERE = "1" * 64
TEXT = b"".join(b"%d green bottles hanging on the wall\n" % i for i in range(20_000))
NOISE = random_bytes(400_000, 7)


class Store:
    """A data directory and the command line. Without a node every command opens the store by itself."""

    def __init__(self, data, prefix=()):
        self.data = pathlib.Path(data)
        self.prefix = list(prefix)

    def run(self, *args, code=0, **environment):
        done = subprocess.run([*self.prefix, BIN / "xet", "--data", self.data, *args], capture_output=True, timeout=60, env={**os.environ, **environment})
        assert done.returncode == code, f"xet {args} -> {done.returncode}, not {code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done

    def rows(self, *args, code=0, **environment):
        """What --json prints, a value a line."""
        return [json.loads(line) for line in self.run(*args, "--json", code=code, **environment).stdout.splitlines()]

    def refused(self, *args, says, code=1, **environment):
        """The command fails, and says what it should."""
        text = self.run(*args, code=code, **environment).stderr.decode(errors="replace")
        for part in [says] if isinstance(says, str) else says:
            assert part in text, f"xet {args}: {part!r} is not in {text!r}"

    def add(self, *paths, code=0, **environment):
        """The rows of the files, by path, and the line for all."""
        *files, total = self.rows("store", "add", *paths, code=code, **environment)
        return {row["path"]: row for row in files}, total

    def stats(self):
        return self.rows("stats")[0]

    def check(self, code=0):
        return self.rows("store", "check", code=code)[0]

    def xorbs(self):
        return sorted((self.data / "store" / "xorbs").rglob("*.xorb"))

    def content(self, digest):
        """Through stdout and through -o: the same."""
        out = self.data.parent / "out"
        self.run("store", "get", digest, "-o", out)
        printed = self.run("store", "get", digest).stdout
        assert out.read_bytes() == printed, digest
        out.unlink()
        return printed


def flip_a_bit(path, at):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def files_below(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def make_things(root):
    """name → content of the regular files; a symlink beside them."""
    things = {"letter to nobody.txt": TEXT, "deep/er/noise.bin": NOISE, "deep/same again": NOISE, "empty": b"", "\u00fcml\u00e4ut.txt": b"short"}
    for name, data in things.items():
        write(root / name, data)
    (root / "no files in it").mkdir()
    os.symlink("empty", root / "link")
    return things


def adding_and_reading(store, work):
    things = make_things(work / "some things")
    files, total = store.add(work / "some things", code=3)
    assert {os.path.relpath(p, work / "some things") for p in files} == set(things), files
    assert len(total["skipped"]) == 1 and "some things/link" in total["skipped"][0] and "not a regular file" in total["skipped"][0], total
    assert total["bytes"] == sum(map(len, things.values())), total
    # what is there twice is stored once
    assert total["new_bytes"] == len(TEXT) + len(NOISE) + len(b"short"), total
    for path, row in files.items():
        assert set(row) == {"path", "hash", "size", "chunks"} and row["size"] == os.path.getsize(path), row
        assert store.content(row["hash"]) == pathlib.Path(path).read_bytes(), path

    chunks = store.rows("store", "ls")
    assert all(set(row) == CHUNK_KEYS for row in chunks), chunks[:2]
    assert sum(row["size"] for row in chunks) == total["new_bytes"]
    assert all(row["refs"] == 1 and row["profile"] == "blake3" for row in chunks), chunks
    assert {row["xorb"] for row in chunks} == {p.stem for p in store.xorbs()}
    noise = [row for row in chunks if row["size"] == row["stored"]]
    assert len({row["hash"] for row in chunks}) == len(chunks)
    assert sum(row["stored"] for row in chunks) < len(NOISE) + len(TEXT) // 2, "text was not compressed"
    assert sum(row["size"] for row in noise) >= len(NOISE), "random data was compressed"
    pieces = {row["hash"]: store.content(row["hash"]) for row in chunks[:3]}
    for digest, data in pieces.items():
        assert data and data in TEXT + NOISE + b"short", digest

    listed = store.rows("store", "ls", "--files")
    assert all(set(row) == FILE_KEYS for row in listed), listed
    assert {row["path"] for row in listed} == {"some things/" + name for name in things}, listed
    assert {row["hash"] for row in listed} == {row["hash"] for row in files.values()}

    figures = store.stats()
    assert FIGURES <= set(figures), figures
    assert figures["chunks"] == len(chunks) and figures["unique_bytes"] == total["new_bytes"], figures
    assert figures["logical_bytes"] == total["bytes"] and figures["in_place_bytes"] == 0 and figures["quota_bytes"] == 0, figures
    assert abs(figures["dedup_ratio"] - total["bytes"] / total["new_bytes"]) < 1e-9, figures
    assert figures["xorb_bytes"] == sum(p.stat().st_size for p in store.xorbs()), figures
    assert figures["compressed_saved_bytes"] == sum(row["size"] - row["stored"] for row in chunks) > len(TEXT) // 2, figures
    return things, files


def the_same_again(store, work):
    """Adding what is there writes nothing but a shard, if that."""
    before, xorbs = store.stats(), store.xorbs()
    _, total = store.add(work / "some things" / "letter to nobody.txt")
    assert total["new_bytes"] == 0 and total["bytes"] == len(TEXT), total
    after = store.stats()
    assert store.xorbs() == xorbs and after["unique_bytes"] == before["unique_bytes"], (before, after)
    assert after["logical_bytes"] == before["logical_bytes"] + len(TEXT), (before, after)
    shards = sorted((store.data / "store" / "shards").iterdir())
    store.add(work / "some things" / "letter to nobody.txt")
    assert sorted((store.data / "store" / "shards").iterdir()) == shards
    assert store.stats() == after


def profiles(store, work):
    path = write(work / "for profiles", random_bytes(150_000, 99))
    for profile in ("sha256", "hf"):
        files, _ = store.rows("store", "add", path, "--profile", profile)
        assert store.content(files["hash"]) == path.read_bytes(), profile
        assert any(row["profile"] == profile for row in store.rows("store", "ls"))
        store.run("store", "rm", files["hash"])
    store.run("cleanup", "--max-age-days", "0")
    assert {row["profile"] for row in store.rows("store", "ls")} == {"blake3"}
    store.refused("store", "add", path, "--profile", "md5", says="md5", code=2)


def uncompressed(work):
    store = Store(work / "uncompressed")
    store.add(write(work / "text", TEXT), UT_XET_DISK_XET_COMPRESSION_ENABLED="false")
    assert store.stats()["compressed_saved_bytes"] == 0 and store.stats()["xorb_bytes"] > len(TEXT)


def giving_up(store, work):
    path = write(work / "short lived.bin", random_bytes(300_000, 3))
    before = store.stats()
    files, total = store.add(path)
    digest = files[str(path)]["hash"]
    assert total["new_bytes"] == 300_000
    store.run("store", "rm", digest)
    assert digest not in {row["hash"] for row in store.rows("store", "ls", "--files")}
    assert {row["refs"] for row in store.rows("store", "ls")} >= {0}

    untouched = files_below(store.data / "store" / "xorbs")
    *plan, total = store.rows("cleanup", "--max-age-days", "0", "--dry-run")
    assert total["dry_run"] and total["removed_xorbs"] == 1 and total["freed_bytes"] > 300_000, total
    assert [row["action"] for row in plan] == ["remove"] and f'{plan[0]["xorb"]}.xorb' in {p.name for p in store.xorbs()}, plan
    assert "would remove" in store.run("cleanup", "--max-age-days", "0", "--dry-run").stdout.decode()
    assert files_below(store.data / "store" / "xorbs") == untouched
    # not old enough
    assert store.rows("cleanup", "--max-age-days", "1")[-1]["removed_xorbs"] == 0
    # two phases: condemned now, and removed by a later one
    condemned = store.rows("cleanup", "--max-age-days", "0", "--grace", "3600")
    assert condemned[0]["action"] == "condemn" and condemned[-1]["condemned_xorbs"] == 1 and condemned[-1]["removed_xorbs"] == 0, condemned
    assert files_below(store.data / "store" / "xorbs") == untouched

    removed = store.rows("cleanup", "--max-age-days", "0")
    assert removed[-1]["removed_xorbs"] == 1, removed
    assert not (set(row["xorb"] for row in plan) & {p.stem for p in store.xorbs()})
    after = store.stats()
    assert {**after, "dedup_ratio": 0} == {**before, "dedup_ratio": 0}, (before, after)
    store.refused("store", "get", digest, says="has no chunk and no file")
    assert store.rows("cleanup", "--max-age-days", "0")[-1]["removed_xorbs"] == 0


def packing(store, work):
    """A file of many in one xorb is given up: the rest is written anew, and only that."""
    for i in range(8):
        write(work / "many" / f"{i}.bin", random_bytes(100_000, 100 + i))
    files, _ = store.add(work / "many")
    for i in range(6):
        store.run("store", "rm", files[str(work / "many" / f"{i}.bin")]["hash"])
    before = store.stats()
    plan = store.rows("store", "pack", "--dry-run")[0]
    assert plan["dry_run"] and plan["xorbs_before"] >= 1, plan
    assert store.stats() == before
    packed = store.rows("store", "pack")[0]
    assert packed["lost_chunks"] == 0 and packed["bytes_before"] - packed["bytes_after"] > 500_000, packed
    assert before["xorb_bytes"] - store.stats()["xorb_bytes"] == packed["bytes_before"] - packed["bytes_after"]
    assert all(row["refs"] > 0 for row in store.rows("store", "ls"))
    for i in (6, 7):
        assert store.content(files[str(work / "many" / f"{i}.bin")]["hash"]) == random_bytes(100_000, 100 + i)
    assert not store.check()["problems"]
    assert store.rows("store", "pack")[0]["xorbs_before"] == 0, "a packed store is packed again"


def damage(work):
    store = Store(work / "damaged")
    paths = [write(work / "to damage" / f"{i}.bin", random_bytes(250_000, 200 + i)) for i in range(3)]
    digests, named = {}, {}
    for path in paths:
        earlier = set(store.xorbs())
        digests[path] = store.add(path)[0][str(path)]["hash"]
        named[path], = set(store.xorbs()) - earlier
    assert not store.check()["problems"]

    # a flipped bit: never served, found, named; healed by the same file
    flip_a_bit(named[paths[0]], 100_000)
    store.refused("store", "get", digests[paths[0]], says=[named[paths[0]].name, "damaged"])
    problems = store.check(code=1)["problems"]
    assert any(named[paths[0]].name in p for p in problems), problems
    done = store.run("store", "scrub", "--json", code=1)
    report = json.loads(done.stdout)
    assert report["bad_chunks"] == report["lost_chunks"] == 1 and report["finished"] and len(report["messages"]) == 1, report
    assert named[paths[0]].name.encode() in done.stderr
    assert store.stats()["wanted_chunks"] == 1
    store.check(code=1)
    assert store.content(digests[paths[1]]) == paths[1].read_bytes()
    store.add(paths[0])
    assert store.stats()["wanted_chunks"] == 0
    for path in paths:
        assert store.content(digests[path]) == path.read_bytes()
    assert not store.check()["problems"]
    assert store.rows("store", "scrub")[0]["bad_chunks"] == 0

    # a truncated xorb: named when the store is opened, nothing wrong served, repaired from another copy
    cut = named[paths[1]]
    os.truncate(cut, cut.stat().st_size // 2)
    store.refused("store", "get", digests[paths[1]], says=cut.name)
    store.refused("store", "scrub", says=cut.name)
    rest = b"".join(store.content(row["hash"]) for row in store.rows("store", "ls"))
    assert rest and all(len(row["hash"]) == 64 for row in store.rows("store", "ls"))
    store.add(paths[1])
    assert store.content(digests[paths[1]]) == paths[1].read_bytes()
    assert not store.check()["problems"]

    # a xorb that is gone: the rest is served, and the file heals it
    lost = [p for p in store.xorbs() if p == named[paths[2]]]
    lost[0].unlink()
    store.refused("store", "get", digests[paths[2]], says="")
    assert store.stats()["wanted_chunks"] > 0
    assert store.content(digests[paths[0]]) == paths[0].read_bytes()
    store.add(paths[2])
    assert store.content(digests[paths[2]]) == paths[2].read_bytes() and not store.check()["problems"]
    return store


def one_lost_chunk_costs_one_file(work):
    """Of files that were added together, those whose chunks are all there stay readable, and each can be given up."""
    store = Store(work / "neighbours")
    first, second = (write(work / "together" / name, random_bytes(200_000, seed)) for name, seed in (("a", 31), ("b", 32)))
    store.add(first)
    xorb, = store.xorbs()
    files, _ = store.add(work / "together")
    xorb.unlink()
    store.refused("store", "get", files[str(first)]["hash"], says="")
    assert store.content(files[str(second)]["hash"]) == second.read_bytes()
    store.run("store", "rm", files[str(first)]["hash"])
    assert store.content(files[str(second)]["hash"]) == second.read_bytes()


def lost_index(store):
    """Deleted, overwritten, or made again on purpose: the same store."""
    index = store.data / "store" / "index.db"
    before = store.check()
    contents = {row["hash"]: store.content(row["hash"]) for row in store.rows("store", "ls", "--files")}

    def delete():
        index.unlink()

    def overwrite():
        index.write_bytes(random_bytes(30_000, 5))

    def truncate():
        os.truncate(index, index.stat().st_size // 2)

    def lose_the_table():
        for run in (store.data / "store" / "runs").iterdir():
            run.unlink()

    def rebuild():
        assert store.rows("store", "rebuild-index")[0]["chunks"] == before["chunks"]

    for change in (delete, overwrite, truncate, lose_the_table, rebuild):
        change()
        after = store.check()
        assert after == before, (change.__name__, before, after)
        for digest, data in contents.items():
            assert store.content(digest) == data, change.__name__
        # what is needed is needed still
        assert store.rows("cleanup", "--max-age-days", "0", "--dry-run")[-1]["removed_xorbs"] == 0, change.__name__


def loose_chunks(store, work):
    chunks = {row["hash"]: row["size"] for row in store.rows("store", "ls")}
    total = store.rows("store", "export", work / "loose")[0]
    assert total == {"chunks": len(chunks), "bytes": sum(chunks.values())}, total
    assert {p.name: p.stat().st_size for p in (work / "loose").iterdir()} == chunks
    other = Store(work / "importer")
    one = sorted(chunks)[0]
    flip_a_bit(work / "loose" / one, 0)
    write(work / "loose" / "README", b"no chunk")
    done = other.run("store", "import", work / "loose", "--json", code=3)
    total = json.loads(done.stdout)
    assert total["chunks"] == len(chunks) - 1 and len(total["skipped"]) == 1 and one in total["skipped"][0], total
    assert one.encode() in done.stderr
    assert {row["hash"]: row["size"] for row in other.rows("store", "ls")} == {h: s for h, s in chunks.items() if h != one}
    for digest in sorted(chunks)[1:4]:
        assert other.content(digest) == (work / "loose" / digest).read_bytes()
    other.run("cleanup", "--max-age-days", "0")
    assert len(other.rows("store", "ls")) == len(chunks) - 1, "what was imported is not held"
    chosen = sorted(chunks)[1]
    other.run("store", "export", work / "one", chosen)
    assert [p.name for p in (work / "one").iterdir()] == [chosen]
    other.refused("store", "export", work / "none", NOWHERE, says=NOWHERE)
    other.refused("store", "import", work / "there is none", says="not a directory")
    # a loose chunk beside the xorbs is read where it lies
    third = Store(work / "third")
    third.add(write(work / "something", b"else"))
    (third.data / "store" / "xet_chunks").mkdir()
    (work / "one" / chosen).rename(third.data / "store" / "xet_chunks" / chosen)
    assert len(third.content(chosen)) == chunks[chosen]


def quota(work):
    store = Store(work / "small")
    few, many = write(work / "few", random_bytes(40_000, 11)), write(work / "too much", random_bytes(200_000, 12))
    limit = {"UT_XET_DISK_XET_STORE_QUOTA": "100000"}
    files, _ = store.add(few, **limit)
    store.refused("store", "add", many, says=["quota", "100000"], **limit)
    assert [row["path"] for row in store.rows("store", "ls", "--files")] == ["few"]
    assert store.content(files[str(few)]["hash"]) == few.read_bytes()
    assert store.rows("stats", **limit)[0]["quota_bytes"] == 100_000
    store.refused("store", "add", many, says="left to others", UT_XET_DISK_XET_STORE_RESERVE=str(1 << 60))
    assert not store.check()["problems"]
    store.add(many)


def room_is_made_when_full(work):
    """What is full of what nobody needs becomes smaller without a larger quota."""
    store = Store(work / "full")
    limit = {"UT_XET_DISK_XET_STORE_QUOTA": "400000"}
    first, second = (write(work / "filling" / name, random_bytes(180_000, seed)) for name, seed in (("a", 51), ("b", 52)))
    files, _ = store.add(work / "filling", **limit)
    store.run("store", "rm", files[str(first)]["hash"], **limit)
    store.run("cleanup", "--max-age-days", "0", **limit)
    assert store.stats()["xorb_bytes"] < 200_000, store.stats()
    assert store.content(files[str(second)]["hash"]) == second.read_bytes()


def a_new_index_knows_what_is_lost(work):
    """A chunk that a shard lists and no xorb has is missed, whether the index was lost or not."""
    store = Store(work / "lost and made again")
    path = write(work / "lost.bin", random_bytes(90_000, 61))
    digest = store.add(path)[0][str(path)]["hash"]
    store.xorbs()[0].unlink()
    assert store.check(code=1)["problems"]
    store.run("store", "rebuild-index", code=1)
    assert store.check(code=1)["problems"]
    store.add(path)
    assert store.content(digest) == path.read_bytes() and not store.check()["problems"]


def mistakes(store, work):
    nothing = Store(work / "nothing here")
    for command in (["store", "ls"], ["store", "check"], ["stats"], ["store", "get", NOWHERE], ["cleanup", "--max-age-days", "0"], ["store", "rebuild-index"]):
        nothing.refused(*command, says="there is no store")
    assert not nothing.data.exists(), "a question made a data directory"
    store.refused("store", "get", NOWHERE, says=["has no chunk and no file", NOWHERE])
    store.refused("store", "get", "xyz", says="is not a hash")
    store.refused("store", "rm", NOWHERE, says=NOWHERE)
    store.refused("store", "add", work / "not there", says="no such file")
    store.refused("store", "get", store.rows("store", "ls")[0]["hash"], "-o", work / "no such directory" / "x", says="no such directory")
    store.refused("store", "add", says="PATH", code=2)
    store.refused("cleanup", says="--max-age-days", code=2)
    store.refused("cleanup", "--max-age-days", "-1", says="age")


def one_process_at_a_time(store):
    """A slow scrub has the store; others are told."""
    slow = []

    def told():
        if not slow or slow[-1].poll() is not None:  # it came second, and was told itself
            slow.append(subprocess.Popen([BIN / "xet", "--data", store.data, "store", "scrub", "--rate", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        done = subprocess.run([BIN / "xet", "--data", store.data, "store", "ls"], capture_output=True, timeout=60)
        return done.returncode == 1 and b"in use by another process" in done.stderr

    try:
        wait_for(told, 10, "the second process to be refused")
        store.refused("store", "rebuild-index", says="another process")
        assert slow[-1].poll() is None
    finally:
        for process in slow:
            process.kill()
            process.wait()
    assert not store.check()["problems"]


def is_private(work):
    """Whoever makes the data directory first makes it for its user alone."""
    store = Store(work / "made by store add")
    store.add(write(work / "private", b"private"))
    assert store.data.stat().st_mode & 0o077 == 0, oct(store.data.stat().st_mode)


def odd_names(work):
    """A name the store cannot write down is left out, and named; the rest is added."""
    store = Store(work / "odd")
    write(work / "named oddly" / "good", b"good")
    with open(os.fsencode(work / "named oddly") + b"/caf\xe9 ol\xe9", "wb") as f:
        f.write(b"odd")
    done = store.run("store", "add", work / "named oddly", "--json", code=3)
    assert b"caf\\xe9 ol\\xe9" in done.stderr, done.stderr
    assert [row["path"] for row in store.rows("store", "ls", "--files")] == ["named oddly/good"]
    # such a name as a place to write to, and above what is added
    place = os.fsencode(work) + b"/\xff place"
    digest = store.rows("store", "ls", "--files")[0]["hash"]
    store.run("store", "get", digest, "-o", place)
    with open(place, "rb") as f:
        assert f.read() == b"good"
    above = os.fsencode(work) + b"/\xfe above"
    os.mkdir(above)
    os.mkdir(above + b"/plain")
    with open(above + b"/plain/file", "wb") as f:
        f.write(b"plain")
    store.run("store", "add", above + b"/plain")
    assert "plain/file" in {row["path"] for row in store.rows("store", "ls", "--files")}


def not_readable(work):
    """A directory that cannot be read is named, as a file is."""
    os.chmod(work, 0o755)
    home = work / "nobody's"
    home.mkdir()
    os.chmod(home, 0o777)
    write(work / "partly" / "open", b"open")
    write(work / "partly" / "locked" / "secret", b"secret")
    write(work / "partly" / "closed file", b"closed")
    os.chmod(work / "partly" / "locked", 0o700)
    os.chmod(work / "partly" / "closed file", 0o600)
    done = Store(home / "data", AS_NOBODY).run("store", "add", work / "partly", "--json", code=3)
    skipped = json.loads(done.stdout.splitlines()[-1])["skipped"]
    assert any("closed file" in text for text in skipped) and any("locked" in text for text in skipped), skipped


def ask(data, **request):
    """One request to a node's control socket; its events and its answer."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(str(data / "control.sock"))
        lines = s.makefile("rw", encoding="utf-8")
        print(json.dumps(request), file=lines, flush=True)
        events = []
        for line in lines:
            answer = json.loads(line)
            if "ok" in answer:
                return events, answer
            events.append(answer)
    raise AssertionError("no answer")


def with_a_node():
    with playground("a") as (where, node):
        store = Store(node.data)
        things, files = adding_and_reading(store, where)
        the_same_again(store, where)
        profiles(store, where)
        giving_up(store, where)
        packing(store, where)
        loose_chunks(store, where)
        assert not store.check()["problems"]
        assert store.rows("store", "scrub", "--rate", "100000000")[0]["finished"]
        store.refused("store", "rebuild-index", says=["a node runs", "stop it first"])
        store.refused("store", "get", NOWHERE, says="has no chunk and no file")
        store.refused("store", "rm", NOWHERE, says=NOWHERE)
        assert {"wire_bytes_in", "peers"} <= set(store.stats()), "the node's own figures"

        # names that are no text travel in hexadecimal
        strange = os.fsencode(where) + b"/\xe9t\xe9"
        digest = files[str(where / "some things" / "letter to nobody.txt")]["hash"]
        store.run("store", "get", digest, "-o", strange)
        with open(strange, "rb") as f:
            assert f.read() == TEXT
        os.unlink(strange)
        _, answer = ask(node.data, cmd="store_get", hash=digest, out_hex=strange.hex())
        assert answer == {"ok": True, "result": {"kind": "file", "size": len(TEXT)}}, answer
        assert os.path.exists(strange)
        events, answer = ask(node.data, cmd="store_get", hash=digest)
        assert b"".join(bytes.fromhex(e["hex"]) for e in events if e["event"] == "data") == TEXT and answer["ok"]
        for request, code in (({"cmd": "store_get", "hash": NOWHERE}, "not_found"), ({"cmd": "store_get", "hash": "x"}, "invalid"),
                              ({"cmd": "store_get"}, "invalid"), ({"cmd": "cleanup"}, "invalid"), ({"cmd": "cleanup", "max_age_days": -1}, "invalid"),
                              ({"cmd": "store_rm", "hashes": [NOWHERE]}, "not_found"), ({"cmd": "store_add", "paths": "no list"}, "invalid")):
            _, answer = ask(node.data, **request)
            assert not answer["ok"] and answer["code"] == code, (request, answer)

        before = store.check()
        assert node.stop() == 0
        assert store.check() == before
        node.start()
        assert store.check() == before


def at_the_same_time():
    """Several clients of a node add the same file: each of them is told that it is there."""
    with playground("a") as (where, node):
        for i in range(3):
            path = write(where / f"{i}.bin", random_bytes(24 << 20, 300 + i))
            clients = [subprocess.Popen([BIN / "xet", "--data", node.data, "store", "add", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
            for client in clients:
                _, err = client.communicate(timeout=60)
                assert client.returncode == 0, err.decode(errors="replace")[-500:]
        figures = node.stats()
        assert figures["unique_bytes"] == 3 * (24 << 20), figures
        assert not Store(node.data).check()["problems"]
        assert not list((node.data / "store").rglob(".tmp-*"))


def without_a_node():
    with tempfile.TemporaryDirectory(prefix="ut_xet-test-") as directory:
        work = pathlib.Path(directory)
        store = Store(work / "node")
        adding_and_reading(store, work)
        the_same_again(store, work)
        profiles(store, work)
        uncompressed(work)
        giving_up(store, work)
        packing(store, work)
        lost_index(store)
        lost_index(damage(work))
        loose_chunks(store, work)
        quota(work)
        mistakes(store, work)
        one_process_at_a_time(store)
        one_lost_chunk_costs_one_file(work)
        room_is_made_when_full(work)
        a_new_index_knows_what_is_lost(work)
        is_private(work)
        odd_names(work)
        if is_root():
            not_readable(work)


def main():
    without_a_node()
    with_a_node()
    at_the_same_time()


main()
