"""A BitTorrent peer in plain Python that speaks ut_xet from its description alone: no code shared with the project."""

import os
import socket
import struct

OUR_ID = 7  # the number under which this peer wants to receive ut_xet messages


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    items = sorted((k.encode() if isinstance(k, str) else k, v) for k, v in value.items())
    return b"d" + b"".join(bencode(k) + bencode(v) for k, v in items) + b"e"


def bdecode(data):
    value, end = _bdecode(data, 0)
    assert end == len(data), "bytes behind the value"
    return value


def _bdecode(data, at):
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind == b"l":
        out, at = [], at + 1
        while data[at : at + 1] != b"e":
            value, at = _bdecode(data, at)
            out.append(value)
        return out, at + 1
    if kind == b"d":
        out, at = {}, at + 1
        while data[at : at + 1] != b"e":
            key, at = _bdecode(data, at)
            out[key], at = _bdecode(data, at)
        return out, at + 1
    colon = data.index(b":", at)
    length = int(data[at:colon])
    return data[colon + 1 : colon + 1 + length], colon + 1 + length


class Peer:
    def __init__(self, port, info_hash, xet=None, seconds=20, client="raw/1"):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.buffer = b""
        reserved = bytearray(8)
        reserved[5] |= 0x10  # BEP 10
        self.socket.sendall(b"\x13BitTorrent protocol" + bytes(reserved) + bytes.fromhex(info_hash) + b"-RW0001-" + os.urandom(6).hex().encode())
        greeting = self.take(68)
        assert greeting[28:48] == bytes.fromhex(info_hash), "another torrent answers"
        handshake = {"m": {"ut_xet": OUR_ID}, "v": client}
        if xet is not None:
            handshake["xet"] = xet
        self.send_raw(20, b"\0" + bencode(handshake))
        while True:
            message, body = self.message()
            if message == 20 and body[0] == 0:
                self.theirs = bdecode(body[1:])
                self.their_id = self.theirs[b"m"][b"ut_xet"]
                return

    def take(self, n):
        while len(self.buffer) < n:
            more = self.socket.recv(1 << 16)
            if not more:
                raise ConnectionError("closed")
            self.buffer += more
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def message(self):
        """The next BitTorrent message: (number, body); keep-alives are passed over."""
        while True:
            (length,) = struct.unpack(">I", self.take(4))
            if length:
                data = self.take(length)
                return data[0], data[1:]

    def send_raw(self, number, body):
        self.socket.sendall(struct.pack(">IB", 1 + len(body), number) + body)

    def send(self, body):
        """One ut_xet message, its type byte first."""
        self.send_raw(20, bytes([self.their_id]) + body)

    def receive(self, *types):
        """The next ut_xet message of one of these types."""
        while True:
            number, body = self.message()
            if number == 20 and body[0] == OUR_ID and (not types or body[1] in types):
                return body[1:]

    def closed_within(self, seconds):
        """True when the other side hangs up."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(1 << 16):
                pass
            return True
        except (ConnectionError, OSError) as e:
            return not isinstance(e, TimeoutError)

    def close(self):
        self.socket.close()
