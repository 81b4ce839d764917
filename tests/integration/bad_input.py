"""What `xet join` cannot use is refused with a reason; nothing half-made is left, and the node stays up."""

import copy
import os
import random
import subprocess
import time

from _hostile import bdecode, bencode, signed_tonic
from _nodes import AS_NOBODY, BIN, is_root, playground, write


class Refusals:
    def __init__(self, node, where):
        self.node = node
        self.dest = where / "dest"
        self.dest.mkdir()
        self.count = 0

    def __call__(self, source, *words, code=1, args=(), dest=None, names=None):
        """Joining source fails; the message has these words and names what it is about."""
        before = self.node.status()
        started = time.monotonic()
        done = self.node.xet("join", source, dest or self.dest, "--wait", *args, check=False, timeout=20)
        took = time.monotonic() - started
        text = done.stderr
        assert done.returncode == code, (source, done.returncode, text)
        assert done.stdout == "", done.stdout
        last = text.strip().splitlines()[-1] if text.strip() else ""
        if code == 1:
            assert last.startswith("xet: ") and len(last) > 20 and len(last) < 1000, (source, text)
            assert (names or str(source)) in last, (source, last)
        for word in words:
            assert word in text, (source, word, text)
        assert took < 10, (source, took)
        assert self.node.process.poll() is None, self.node.log()
        assert os.listdir(self.dest) == [], os.listdir(self.dest)
        assert self.node.status() == before
        self.count += 1
        if os.environ.get("SHOW"): print(last)
        return last


def damaged(where, refused, good_torrent, good_tonic):
    rng = random.Random(1)
    for kind, good in (("torrent", good_torrent), ("tonic", good_tonic)):
        cuts = sorted({0, 1, 2, 10, len(good) - 1, len(good) // 2} | {rng.randrange(len(good)) for _ in range(8)})
        for n in cuts:
            refused(write(where / f"cut at {n}.{kind}", good[:n]))
    for _ in range(20):
        flipped = bytearray(good_tonic)
        flipped[rng.randrange(len(good_tonic))] ^= 1 << rng.randrange(8)
        refused(write(where / "flipped.tonic", bytes(flipped)))
    refused(write(where / "longer.tonic", good_tonic + b"x"))
    refused(write(where / "zeros.tonic", b"\0" * (100 << 20)), "not bencoded")
    os.unlink(where / "zeros.tonic")
    for name, data in {
        "empty": b"", "text": b"hello\n" * 100, "elf": open("/bin/true", "rb").read(), "nested dicts": b"d1:a" * 1_000_000,
        "nested lists": b"d1:a" + b"l" * 1_000_000, "closed": b"d1:a" * 1_000_000 + b"de" + b"e" * 1_000_000, "wide": b"d3:xetl" + b"le" * 2_000_000 + b"ee",
        "huge string": b"d4:info99999999999999999999:x", "negative string": b"d4:info-5:xxxxxe", "integer": b"d4:infoi99999999999999999999999999999ee",
    }.items():
        for kind in ("torrent", "tonic"):
            refused(write(where / f"{name}.{kind}", data))


def hostile_tonics(where, refused, good, seed):
    """Validly signed by their author, and not to be trusted."""
    top = bdecode(good)

    def case(name, change, *words):
        changed = copy.deepcopy(top)
        change(changed[b"xet"])
        refused(write(where / f"hostile {name}.tonic", signed_tonic(changed, seed)), *words)

    def rename(old, new):
        def change(x):
            entry = next(f for f in x[b"files"] if f[b"path"] == old)
            entry[b"path"] = new
            leaf = x[b"file_tree"].pop(old)
            at = x[b"file_tree"]
            parts = new.split(b"/")
            for part in parts[:-1]:
                at = at.setdefault(part, {})
            at[parts[-1]] = leaf
            order = sorted(range(len(x[b"files"])), key=lambda i: x[b"files"][i][b"path"])
            assert {f[b"chunks"] for f in x[b"files"]} == {1}
            for key in (b"files", b"chunk_hashes"):
                x[key] = [x[key][i] for i in order]
        return change

    signed = write(where / "untouched.tonic", signed_tonic(top, seed))
    assert signed.read_bytes() == good  # the signing here is right, so what is refused below is refused for what it says
    for path in (b"../out", b"/etc/out", b"a/../../out", b"./a", b"a//b", b"a/", b"..", b".", b"nul\0byte", b"\xff\xfe", b"x" * 256, b"d/" * 200 + b"x", b".ut_xet/x", b".UT_XET/x"):
        case("path " + path[:20].hex(), rename(b"one", path))

    def set_field(key, value):
        return lambda x: x.__setitem__(key, value)

    def set_in_file(key, value):
        return lambda x: x[b"files"][0].__setitem__(key, value)

    case("duplicate", lambda x: x[b"files"].append(copy.deepcopy(x[b"files"][-1])))
    case("size", set_in_file(b"size", 7))
    case("huge size", set_in_file(b"size", 2**63 - 1))
    case("negative size", set_in_file(b"size", -1))
    case("chunk sizes", set_in_file(b"chunk_sizes", b"\xff\xff\xff\xff"))
    case("chunks", set_in_file(b"chunks", 2**31))
    case("mode", set_in_file(b"mode", 0o4755))
    case("hash", set_in_file(b"hash", b"\0" * 32))
    case("no chunks", set_field(b"chunk_hashes", []))
    case("tree", set_field(b"file_tree", {}))
    case("link out", set_field(b"symlinks", [{b"path": b"l", b"target": b"../../etc"}]))
    case("link absolute", set_field(b"symlinks", [{b"path": b"l", b"target": b"/etc"}]))
    case("link over a file", set_field(b"symlinks", [{b"path": b"one", b"target": b"two"}]))
    case("below a link", set_field(b"symlinks", [{b"path": b"dir", b"target": b"."}]))
    case("dir over a file", set_field(b"dirs", [{b"path": b"one"}]))
    for name in (b"../up", b"a/b", b".ssh", b"", b"\0", b"new\nline", b"x" * 300, b"."):
        case("name " + name[:10].hex(), set_field(b"name", name))
    for key in (b"version", b"files", b"file_tree", b"chunk_hashes", b"author", b"seq", b"salt", b"name", b"folder", b"hash_algorithm", b"target_chunk_size", b"sync_mode"):
        case(f"no {key.decode()}", lambda x: x.pop(key))
        for wrong in (1 << 40, b"?", [], {}):
            if not isinstance(wrong, type(top[b"xet"][key])):
                case(f"{key.decode()} {type(wrong).__name__}", set_field(key, wrong))


def hostile_torrents(where, refused, good):
    top = bdecode(good)

    def case(name, change, *words):
        changed = copy.deepcopy(top)
        change(changed)
        refused(write(where / f"hostile {name}.torrent", bencode(changed)), *words)

    def xet(key, value):
        return lambda t: t[b"info"][b"xet"].__setitem__(key, value)

    for name in (b"../up", b"a/b", b".ssh", b"", b"nul\0", b"/etc", b"x" * 300):
        case("name " + name[:10].hex(), xet(b"name", name))
    case("folder", xet(b"folder", b"0" * 40))
    case("pk", xet(b"pk", b"short"))
    case("pk type", xet(b"pk", [b"x"]))
    case("salt", xet(b"salt", b""))
    case("version", xet(b"v", 99), "99")
    case("xet type", lambda t: t[b"info"].__setitem__(b"xet", b"?"))
    case("length", lambda t: t[b"info"].__setitem__(b"length", 1 << 40))
    case("no info", lambda t: t.pop(b"info"))
    case("info type", lambda t: t.__setitem__(b"info", [1]))
    ordinary = {b"info": {b"name": b"movie.mkv", b"length": 100000, b"piece length": 16384, b"pieces": b"x" * 20 * 7}, b"announce": b"udp://x:1"}
    refused(write(where / "ordinary.torrent", bencode(ordinary)), "ordinary torrent")
    many = {b"info": {b"name": b"album", b"files": [{b"length": 5, b"path": [b"..", b"..", b"x"]}], b"piece length": 16384, b"pieces": b"x" * 20}}
    refused(write(where / "files.torrent", bencode(many)), "ordinary torrent")


def special_files(where, refused):
    os.mkfifo(where / "fifo.torrent")
    refused(where / "fifo.torrent", "not a regular file")
    refused("/dev/zero", "not a regular file")
    refused("/dev/null")
    (where / "directory.torrent").mkdir()
    refused(where / "directory.torrent", "not a regular file")
    refused(where / "missing.torrent", "no such file")
    refused(where / "missing" / "dir.tonic", "no such file")
    os.symlink("loop.tonic", where / "loop.tonic")
    refused(where / "loop.tonic")
    with open(where / "sparse.tonic", "wb") as f:
        f.truncate(1 << 40)
    refused(where / "sparse.tonic", "larger than")
    refused("tonicfoo", "no such file")


def links(refused, magnet, link):
    h = "0123456789abcdef0123456789abcdef01234567"
    for source, word in {
        "magnet:?xt=urn:btmh:1220" + "ab" * 32: "v2",
        "magnet:": "magnet", "magnet:?": "xt", "magnet:?dn=x": "xt", "magnet:?xt=urn:btih:": "hash", "magnet:?xt=urn:btih:xyz": "hash",
        "magnet:?xt=urn:btih:" + "g" * 40: "hash", "magnet:?xt=urn:btih:" + h + h: "hash",
        f"magnet:?xt=urn:btih:{h}&xt=urn:btih:{h[::-1]}": "two different",
        f"magnet:?xt=urn:btih:{h}&dn=..%2F..%2Fetc": "dn", f"magnet:?xt=urn:btih:{h}&dn=.ssh": "dn", f"magnet:?xt=urn:btih:{h}&dn=a%00b": "dn",
        f"magnet:?xt=urn:btih:{h}&dn=%zz": "%", f"magnet:?xt=urn:btih:{h}&tr=nonsense": "tr", f"magnet:?xt=urn:btih:{h}&x.pe=nowhere": "x.pe",
        "magnet:?xt=urn:sha1:" + "a" * 32: "btih", "tonic:": "tonic", "tonic:?xt=urn:xet:" + h: "pk", "tonic?:xt=urn:xet:zz": "hash",
        link.replace("salt=", "salt=00"): "changed or cut", link.split("&salt")[0]: "salt", link[:60]: "", magnet.replace("btih:", "btih:0"): "hash",
        "MAGNET:?xt=urn:btih:": "hash",
    }.items():
        refused(source, word, names="link")
    refused("magnet:?xt=urn:btih:" + h + "&x=" + "y" * 70_000, "limit", names="link")
    refused(magnet, "address", args=("--peer", "nonsense"), names="nonsense")
    refused(magnet, "address", args=("--peer", "127.0.0.1:99999"), names="127.0.0.1:99999")


def usage(refused, magnet):
    for args in (["join"], ["join", magnet], ["join", magnet, "x", "y"], ["join", magnet, "x", "--no-such-flag"], ["join", magnet, "x", "--peer"], [], ["nonsense"], ["share"], ["--data"]):
        done = subprocess.run([BIN / "xet", "--data", refused.node.data, *args] if args != ["--data"] else [BIN / "xet", "--data"], capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr, (args, done)
    for args in (["--help"], ["join", "--help"], ["share", "--help"]):
        done = subprocess.run([BIN / "xet", *args], capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout, (args, done)


def main():
    with playground("n") as (where, node):
        source = where / "source" / "good"
        for name in ("one", "two", "dir/three"):
            write(source / name, name.encode())
        files = where / "files"
        files.mkdir()
        made = subprocess.run([BIN / "xet-mktonic", "--profile", "sha256", "--key", where / "key", "-o", files / "good.tonic", source], capture_output=True, text=True, check=True)
        fields = dict(line.split(None, 1) for line in made.stdout.splitlines())
        good_tonic, good_torrent = (files / "good.tonic").read_bytes(), (files / "good.torrent").read_bytes()
        seed = (where / "key").read_text().strip()
        refused = Refusals(node, where)
        damaged(files, refused, good_torrent, good_tonic)
        hostile_tonics(files, refused, good_tonic, seed)
        hostile_torrents(files, refused, good_torrent)
        special_files(files, refused)
        links(refused, fields["magnet"], fields["link"])
        usage(refused, fields["magnet"])
        print(refused.count, "refused")
        # and the good one is still taken
        assert node.xet("join", files / "good.tonic", where / "dest").returncode == 0
        assert len(node.status()) == 1
    if is_root():
        with playground(("n", AS_NOBODY)) as (where, node):
            secret = write(where / "secret.tonic", b"d1:ae")
            os.chmod(secret, 0o600)
            Refusals(node, where)(secret, "ermission denied")


main()
