"""A foreign peer fetches a folder's metadata and chunks in the forms of the protocol, and cannot hurt the node with what it sends."""

import hashlib
import struct

from _nodes import assert_same, playground, random_bytes, wait_for, write
from _peer import Peer, bdecode

FULL = {"version": "1.0", "supports_chunk_requests": 1, "supports_folder_sync": 1, "supports_metadata_exchange": 1, "reqq": 100}


def fetch_tonic(peer, folder):
    ident = folder.encode() + b"\0"
    piece, total, data = 0, 1, b""
    while piece < total:
        peer.send(b"\x20" + ident + struct.pack(">I", piece))
        answer = peer.receive(0x21)
        assert answer[1 : 1 + len(ident)] == ident
        got, total, size = struct.unpack(">III", answer[1 + len(ident) : 13 + len(ident)])
        assert got == piece and size == 16384
        data += answer[13 + len(ident) :]
        piece += 1
    return data


def ask(peer, folder_id, node, content):
    xet = bdecode(fetch_tonic(peer, folder_id))[b"xet"]
    assert xet[b"version"] == 1 and xet[b"hash_algorithm"] == b"xet-hash:v1:sha256" and xet[b"sync_mode"] == 0
    hashes = xet[b"chunk_hashes"]
    (entry,) = [f for f in xet[b"files"] if f[b"path"] == b"file.bin"]
    assert entry[b"size"] == len(content) and entry[b"chunks"] == len(hashes)
    sizes = struct.unpack(f">{len(hashes)}I", entry[b"chunk_sizes"])

    # the table's form
    whole = b""
    for h in hashes:
        peer.send(b"\x01" + h)
    for h, size in zip(hashes, sizes):
        answer = peer.receive(0x02, 0x03)
        assert answer[:33] == b"\x02" + h and struct.unpack(">I", answer[33:37]) == (size,)
        assert hashlib.sha256(answer[37:]).digest() == h
        whole += answer[37:]
    assert whole == content

    # with a request id, as ccbt asks
    peer.send(b"\x01" + struct.pack(">I", 77) + hashes[1])
    answer = peer.receive(0x02)
    assert struct.unpack(">II", answer[1:9]) == (77, sizes[1]) and hashlib.sha256(answer[9:]).digest() == hashes[1]
    # with a range, as zest asks
    peer.send(b"\x01" + struct.pack(">I", 78) + hashes[2] + struct.pack(">II", 0, 1))
    answer = peer.receive(0x02)
    assert struct.unpack(">III", answer[1:13]) == (78, 0, sizes[2]) and hashlib.sha256(answer[13:]).digest() == hashes[2]
    # not there
    nothing = bytes(32)
    peer.send(b"\x01" + nothing)
    assert peer.receive(0x02, 0x03) == b"\x03" + nothing
    peer.send(b"\x01" + struct.pack(">I", 79) + nothing)
    assert peer.receive(0x02, 0x03) == b"\x03" + struct.pack(">I", 79)

    # what is known of the folder
    ident = folder_id.encode() + b"\0"
    peer.send(b"\x10" + ident)
    assert peer.receive(0x11)[1 + len(ident) :][:32].hex() == node.status()[0]["version"]
    peer.send(b"\x13" + ident)
    assert peer.receive(0x14) == b"\x14" + ident + b"\0"
    peer.send(b"\x20" + ident + struct.pack(">I", 1 << 20))
    assert peer.receive(0x22) == b"\x22" + ident + struct.pack(">I", 1 << 20)


def main():
    content = random_bytes(3 << 20)
    with playground("a", "b") as (where, a, b):
        write(where / "source" / "data" / "file.bin", content)
        shared = a.share(where / "source" / "data", "--profile", "sha256")
        info_hash = shared["infohash"]

        peer = Peer(a.port, info_hash, FULL)
        theirs = peer.theirs[b"xet"]
        assert theirs[b"version"] == b"1.0" and theirs[b"hash_algorithm"] == b"xet-hash:v1:sha256" and theirs[b"reqq"] > 0
        ask(peer, shared["folder"], a, content)
        peer.close()
        # without an `xet` dict: a plain chunk peer, which is still answered
        plain = Peer(a.port, info_hash)
        plain.send(b"\x01" + bytes(32))
        assert plain.receive(0x03) == b"\x03" + bytes(32)
        plain.close()

        wrong = [
            bytes([kind]) + bytes(length)
            for kind in (0x01, 0x02, 0x03, 0x04, 0x10, 0x11, 0x12, 0x13, 0x14, 0x20, 0x21, 0x22, 0x30, 0x31, 0x42, 0x43, 0x44, 0x45, 0x46)
            for length in (0, 1, 31, 35, 45, 300)
        ] + [b"", b"\x02" + bytes(32) + b"\xff\xff\xff\xff", b"\x31\xff\xff\xff\xff\0\0\0\x03", b"\x20" + b"a" * 1000]
        idle = a.rss()[0]
        hung_up = 0
        for body in wrong:
            p = Peer(a.port, info_hash, FULL)
            try:
                for _ in range(3):
                    p.send(body)
                p.send(b"\x10" + shared["folder"].encode() + b"\0")
                p.receive(0x11)
            except (ConnectionError, OSError):
                hung_up += 1
            p.close()
        assert hung_up > len(wrong) // 2, f"only {hung_up} of {len(wrong)} kinds of garbage were refused"

        # a type nobody knows yet is no fault
        p = Peer(a.port, info_hash, FULL)
        for _ in range(20):
            p.send(b"\x7e" + bytes(50))
        p.send(b"\x01" + bytes(32))
        p.receive(0x03)
        # data nobody asked for is one
        for _ in range(5):
            p.send(b"\x02" + hashlib.sha256(b"x").digest() + struct.pack(">I", 1) + b"x")
        assert p.closed_within(5)

        # asking without reading: bounded, then cut off
        p = Peer(a.port, info_hash, FULL)
        xet = bdecode(fetch_tonic(p, shared["folder"]))[b"xet"]
        flood = b"".join(struct.pack(">IBB", 35, 20, p.their_id) + b"\x01" + h for h in xet[b"chunk_hashes"]) * 1000
        p.socket.settimeout(5)
        try:
            p.socket.sendall(flood)
        except OSError:
            pass
        assert p.closed_within(20)
        grown = a.rss()[0] - idle
        assert grown < 100 << 20, f"{grown} bytes more than idle"

        # the node still works for others
        b.join(shared["magnet"], where / "dest", a.address)
        assert_same(where / "source" / "data", where / "dest" / "data")


main()
