"""Bencoding, and .tonic files changed and signed again, as a hostile publisher could make them."""

import hashlib
import subprocess
import tempfile


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(k) + bencode(value[k]) for k in sorted(value)) + b"e"


def bdecode(data):
    def one(at):
        kind = data[at:at + 1]
        if kind == b"i":
            end = data.index(b"e", at)
            return int(data[at + 1:end]), end + 1
        if kind in (b"l", b"d"):
            items, at = [], at + 1
            while data[at:at + 1] != b"e":
                item, at = one(at)
                items.append(item)
            return (items if kind == b"l" else dict(zip(items[::2], items[1::2]))), at + 1
        colon = data.index(b":", at)
        end = colon + 1 + int(data[at:colon])
        return data[colon + 1:end], end

    return one(0)[0]


def sign(seed_hex, message):
    """Ed25519, through the openssl program."""
    der = bytes.fromhex("302e020100300506032b657004220420") + bytes.fromhex(seed_hex)
    with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as text:
        key.write(der)
        key.flush()
        text.write(message)
        text.flush()
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", key.name, "-in", text.name],
                              check=True, capture_output=True).stdout


def signed_tonic(top, seed_hex):
    """The bytes of a .tonic file of the sha256 profile, with the signature of whoever has the seed."""
    x = dict(top[b"xet"])
    x.pop(b"signature", None)
    # the bytes without the signature's key and value, as if it had never been there
    digest = hashlib.sha256(bencode({**top, b"xet": x})).digest()
    x[b"signature"] = sign(seed_hex, b"tonic v1" + digest)
    return bencode({**top, b"xet": x})
