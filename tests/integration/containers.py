"""The commands for xorbs, shards and Merkle roots on real files: round trips, both formats, wrong keys, flipped bits, exit codes."""

import hashlib
import hmac
import json
import os
import pathlib
import struct
import subprocess
import tempfile

from _nodes import BIN, random_bytes, write

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors"


def xet(*args, code=0, stdin=None, cwd=None):
    """Runs the command; returns its standard output, or for an expected failure what it said."""
    done = subprocess.run([BIN / "xet", *args], input=stdin, capture_output=True, cwd=cwd, timeout=120)
    assert done.returncode == code, (args, done.returncode, done.stdout[-500:], done.stderr[-2000:])
    return done.stdout.decode() if code in (0, 3) else done.stderr.decode()


def rows(*args, **more):
    return [json.loads(line) for line in xet(*args, **more).splitlines()]


def refused(*args, words=(), code=1, **more):
    """The command fails, names the reason, and writes nothing to standard output."""
    said = xet(*args, code=code, **more)
    last = said.strip().splitlines()[-1]
    if code == 1:
        assert last.startswith("xet: "), said
    for word in words:
        assert word in said, (args, word, said)


def flipped(path, bit, where):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    return write(where / f"flipped {bit} {path.name}", bytes(data))


def unpacked(where, xorb, *args):
    out = where / f"out of {xorb.name}"
    xet("xorb", "unpack", xorb, out, *args)
    return [p.read_bytes() for p in sorted(out.iterdir())]


def xorbs(where):
    contents = [b"hello\n", b"", b"\0" * 100_000, random_bytes(70_000, 1), b"line after line\n" * 3000]
    files = [write(where / name, data) for name, data in zip(["a", "empty", "zeros", os.fsdecode(b"\xff noise"), "tex\tt"], contents)]
    for profile in ("blake3", "sha256", "hf"):
        hashes = set()
        for how in ("lz4", "none"):
            xorb = where / f"{profile} {how}.xorb"
            made = rows("xorb", "pack", "--profile", profile, "--compress", how, "--json", "-o", xorb, *files)[0]
            assert made["chunks"] == 5 and made["size"] == sum(map(len, contents)) and made["stored"] == xorb.stat().st_size, made
            assert (made["stored"] < made["size"]) == (how == "lz4"), made
            hashes.add(made["xorb_hash"])
            assert xet("xorb", "pack", "--profile", profile, "--compress", how, "-o", xorb, *files).split() == [made["xorb_hash"]]
            *chunks, last = rows("xorb", "list", "--json", xorb)
            assert last == {"xorb_hash": made["xorb_hash"], "chunks": 5, "size": made["size"]}, last
            assert [(c["index"], c["size"]) for c in chunks] == [(i, len(c)) for i, c in enumerate(contents)], chunks
            if profile == "sha256":
                assert [c["hash"] for c in chunks] == [hashlib.sha256(c).hexdigest() for c in contents]
                if how == "none":
                    assert last["xorb_hash"] == hashlib.sha256(xorb.read_bytes()).hexdigest()
            assert unpacked(where, xorb) == contents
            assert unpacked(where, xorb, "--format", "hf" if profile == "hf" else "bep", "--profile", profile) == contents
        assert len(hashes) == 1, "the hash does not depend on compression"
        if profile == "hf":
            *chunks, last = rows("xorb", "list", "--json", xorb)
            leaves = "".join(f"{c['hash']} {c['size']}\n" for c in chunks)
            assert xet("merkle", "--profile", "hf", stdin=leaves.encode()).strip() == last["xorb_hash"]


def xorb_vectors(where):
    for v in json.loads((VECTORS / "bep" / "xorb.json").read_text())["vectors"]:
        *chunks, last = rows("xorb", "list", "--json", VECTORS / "bep" / v["file"])
        assert last["xorb_hash"] == v["get_xorb_hash_blake3"] and [c["hash"] for c in chunks] == v["chunk_hashes_blake3"]
    for name, index in (("small3_none", 0), ("mix4_none_lz4_bg4_lz4", 2)):
        v = json.loads((VECTORS / "hf" / "xorb" / "index.json").read_text())["xorbs"][index]
        file = VECTORS / "hf" / "xorb" / f"{name}.xorb"
        bare = write(where / f"{name} without a footer", file.read_bytes()[:v["body_len"]])
        for f in (file, bare):
            *chunks, last = rows("xorb", "list", "--json", f)
            assert last["xorb_hash"] == v["xorb_hash"] and [c["hash"] for c in chunks] == [c["hash"] for c in v["chunks"]]


def bad_xorbs(where):
    a, noise = write(where / "a", b"hello\n"), write(where / "noise", random_bytes(200_000, 2))
    for profile in ("blake3", "hf"):
        xorb = where / f"good {profile}"
        xet("xorb", "pack", "--profile", profile, "-o", xorb, a, a)
        size = xorb.stat().st_size
        for bit in range(0, size * 8, 13):
            done = subprocess.run([BIN / "xet", "xorb", "unpack", flipped(xorb, bit, where), where / "never"], capture_output=True)
            if done.returncode == 0:
                assert all(p.read_bytes() == b"hello\n" for p in (where / "never").iterdir()), bit
            else:
                assert done.returncode == 1 and b"flipped" in done.stderr and done.stdout == b"", (bit, done.stderr)
        for n in (0, 3, 30, size - 1):
            refused("xorb", "list", write(where / "cut", xorb.read_bytes()[:n]), words=["cut"])
    xorb = where / "good blake3"
    huge = bytearray(xorb.read_bytes())
    huge[16:20] = b"\xff" * 4
    refused("xorb", "list", write(where / "huge", bytes(huge)), words=["chunk count 4294967295 at offset 16", "cannot hold so many"])
    refused("xorb", "list", "--profile", "sha256", xorb, words=["its sha256 hash is"])
    refused("xorb", "list", "--format", "hf", xorb, words=["chunk 0 at offset 0"])
    refused("xorb", "list", a, words=["not a xorb"])
    refused("xorb", "list", where, words=["not a regular file"])
    refused("xorb", "list", where / "nothing", words=["No such file"])
    refused("xorb", "pack", "--profile", "hf", "-o", where / "x", noise, words=["200000 bytes", "at most 131072"])
    refused("xorb", "pack", "-o", where, a, words=["not a regular file"])
    refused("xorb", "pack", "-o", "/dev/null", a, words=["not a regular file"])
    refused("xorb", "pack", "-o", where / "x", a, where / "nothing", words=["nothing"])
    assert not (where / "x").exists(), "a failure leaves nothing"
    large = where / "large"
    with open(large, "wb") as f:
        f.truncate(64 << 20)
    refused("xorb", "pack", "-o", where / "x", large, a, words=["a: a xorb holds at most 67108864 bytes"])
    assert unpacked(where, (xet("xorb", "pack", "-o", where / "full", large), where / "full")[1]) == [b"\0" * (64 << 20)]
    for wrong in (["xorb"], ["xorb", "pack", a], ["xorb", "list", "--profile", "md5", xorb], ["xorb", "list", "--format", "zip", xorb], ["xorb", "pack", "--compress", "gz", "-o", "x", a]):
        refused(*wrong, code=2)


def shards(where):
    contents = {"one.bin": random_bytes(100_000, 3), "été/two.txt": b"two\n", "empty": b""}
    for name, data in contents.items():
        write(where / name, data)
    chunks = {name: rows("chunk", "--json", where / name) for name in contents}
    xorb = where / "all.xorb"
    for i, c in enumerate(chunks["one.bin"][:-1]):
        write(where / f"c{i:03}", contents["one.bin"][c["offset"]:c["offset"] + c["length"]])
    packed = xet("xorb", "pack", "-o", xorb, *sorted(where.glob("c[0-9]*")), where / "été/two.txt").strip()

    xet("shard", "make", "-o", "plain", "--xorb", "all.xorb", *contents, cwd=where)
    *listed, last = rows("shard", "dump", "--json", where / "plain")
    assert last == {"format": "bep", "files": 3, "xorbs": 1, "chunks": len(chunks["one.bin"]), "hmac": "none", "verified": False}, last
    assert listed[:3] == [{"path": name, "hash": chunks[name][-1]["file_hash"], "size": len(contents[name]), "xorbs": [packed] if contents[name] else []} for name in contents], listed[:3]
    assert listed[3] == {"xorb": packed} and [r["chunk"] for r in listed[4:-1]] == [c["hash"] for c in chunks["one.bin"][:-1]], listed

    key = b"a secret"
    xet("shard", "make", "-o", "sealed", "--hmac-key", key.hex(), *contents, cwd=where)
    sealed = (where / "sealed").read_bytes()
    assert sealed[-32:] == hmac.new(key, sealed[:-32], "sha256").digest()
    assert rows("shard", "dump", "--json", "--hmac-key", key.hex().upper(), where / "sealed")[-1]["hmac"] == "verified"
    assert rows("shard", "dump", "--json", where / "sealed")[-1]["hmac"] == "unchecked"
    refused("shard", "dump", "--hmac-key", "00", where / "sealed", words=["was not made with this key"])
    refused("shard", "dump", "--hmac-key", key.hex(), where / "plain", words=["has no HMAC"])
    refused("shard", "dump", "--hmac-key", "0x", where / "sealed", words=["not hexadecimal"], code=2)
    for bit in range(0, len(sealed) * 8, 101):
        refused("shard", "dump", "--hmac-key", key.hex(), flipped(where / "sealed", bit, where))
    for n in (0, 10, 24, len(sealed) - 33, len(sealed) - 1):
        refused("shard", "dump", write(where / "cut", sealed[:n]), words=["cut"])

    (where / "all/deeper").mkdir(parents=True)
    write(where / "all/deeper/b", b"b")
    write(where / "all/a", b"a")
    xet("shard", "make", "-o", "tree", "all/", cwd=where)
    assert [r["path"] for r in rows("shard", "dump", "--json", where / "tree") if "path" in r] == ["all/a", "all/deeper/b"]
    os.symlink("a", where / "all/link")
    write(where / os.fsdecode(b"all/\xff"), b"?")
    xet("shard", "make", "-o", "tree", "all", cwd=where, code=3)
    assert len(rows("shard", "dump", "--json", where / "tree")) == 2 + 2 + 1, "the others are recorded"
    xet("shard", "make", "-o", "partial", "--xorb", "all.xorb", "all/a", cwd=where, code=3)
    refused("shard", "make", "-o", "x", "nothing", cwd=where, words=["nothing"])
    refused("shard", "make", "-o", "x", "--profile", "sha256", "--xorb", "all.xorb", "empty", cwd=where, words=["named by blake3"])
    refused("shard", "make", "-o", "x", "--format", "hf", "--profile", "blake3", "empty", cwd=where, code=2)
    refused("shard", "dump", where / "one.bin", words=["not a shard"])
    assert not (where / "x").exists()


def hf_shards(where):
    ctr = b"".join(hashlib.sha256(b"hfxet-vector-v1" + struct.pack(">Q", i)).digest() for i in range(1 << 15))
    write(where / "ctr", ctr)
    for wanted, args in zip(json.loads((VECTORS / "hf" / "shard" / "index.json").read_text())["shards"], ([], ["--stored"])):
        xet("shard", "make", "--format", "hf", *args, "-o", "mdb", "ctr", cwd=where)
        assert hashlib.sha256((where / "mdb").read_bytes()).hexdigest() == wanted["sha256"]
        last = rows("shard", "dump", "--json", where / "mdb")[-1]
        assert (last["format"], last["form"], last["chunks"], last["verified"]) == ("hf", "stored" if args else "upload", 15, True), last

    # with a xorb that is there: nothing new is made up
    *chunks, file = rows("chunk", "--profile", "hf", "--json", where / "ctr")
    for i, c in enumerate(chunks):
        write(where / f"c{i:03}", ctr[c["offset"]:c["offset"] + c["length"]])
    packed = xet("xorb", "pack", "--profile", "hf", "-o", where / "x.xorb", *sorted(where.glob("c[0-9]*"))).strip()
    xet("shard", "make", "--format", "hf", "--xorb", "x.xorb", "-o", "mdb", "ctr", cwd=where)
    entry, xorb, last = rows("shard", "dump", "--json", where / "mdb")
    assert entry["file"] == file["file_hash"] and entry["sha256"] == hashlib.sha256(ctr).hexdigest() and xorb["xorb"] == packed, entry

    wrong = bytearray((where / "mdb").read_bytes())
    wrong[48] ^= 1
    refused_output = subprocess.run([BIN / "xet", "shard", "dump", write(where / "wrong", bytes(wrong))], capture_output=True)
    assert refused_output.returncode == 1 and b"its chunks make another hash" in refused_output.stderr
    refused("shard", "dump", "--hmac-key", "00", where / "mdb", words=["no HMAC"])
    leaves = "".join(f"{c['hash']} {c['length']}\n" for c in chunks).encode()
    assert xet("merkle", "--profile", "hf", stdin=leaves).strip() == packed
    assert xet("merkle", "--profile", "hf", "--file", stdin=leaves).strip() == file["file_hash"]


def merkle(_):
    for v in json.loads((VECTORS / "bep" / "merkle.json").read_text())["vectors"]:
        leaves = "".join(hashlib.sha256(b"xet-leaf" + struct.pack(">Q", i)).hexdigest() + "\n" for i in range(v["n"])).encode()
        for profile in ("blake3", "sha256"):
            assert xet("merkle", "--profile", profile, stdin=leaves).strip() == v[f"root_{profile}"], v
    assert xet("merkle", "--profile", "hf", stdin=b"").strip() == "0" * 64 == xet("merkle", "--profile", "hf", "--file", stdin=b"").strip()
    refused("merkle", stdin=b"0" * 64 + b"\nxyz\n", words=["line 2"])
    refused("merkle", stdin=b"0" * 64 + b" 7\n", words=["line 1"])
    refused("merkle", "--profile", "hf", stdin=b"0" * 64 + b"\n", words=["line 1", "a size in bytes"])
    refused("merkle", "--profile", "hf", stdin=b"0" * 64 + b" -7\n", words=["line 1"])
    refused("merkle", "--file", stdin=b"", code=2)


for test in (xorbs, xorb_vectors, bad_xorbs, shards, hf_shards, merkle):
    with tempfile.TemporaryDirectory(prefix="ut_xet-test-") as directory:
        test(pathlib.Path(directory))
