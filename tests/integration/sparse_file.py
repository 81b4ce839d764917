"""A sparse file of 4 GiB arrives quickly, stays sparse, and needs little disk; so does its next version, and one that was interrupted."""

import os
import time

from _nodes import playground, random_bytes, wait_for, write

SIZE = 4 << 30
MOST_ON_DISK = 4 << 20


def segments(path):
    """(offset, length) of what is not a hole."""
    found = []
    with open(path, "rb") as f:
        at = 0
        while True:
            try:
                start = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                return found
            at = os.lseek(f.fileno(), start, os.SEEK_HOLE)
            found.append((start, at - start))


def same_content(a, b):
    """Compares what is data in either; everything else is a hole in both."""
    if os.stat(a).st_size != os.stat(b).st_size:
        return False
    with open(a, "rb") as x, open(b, "rb") as y:
        return all(os.pread(x.fileno(), n, at) == os.pread(y.fileno(), n, at) for at, n in segments(a) + segments(b))


def on_disk(path):
    return os.stat(path).st_blocks * 512


def put(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


def main():
    with playground("a", "b") as (where, a, b):
        source = where / "source" / "images"
        source.mkdir(parents=True)
        disk = source / "disk.img"
        disk.touch()
        os.truncate(disk, SIZE)
        put(disk, SIZE // 2 + 12345, random_bytes(300_000))
        put(disk, 1 << 20, b"near the front")
        (source / "only zeros").touch()
        os.truncate(source / "only zeros", 1 << 30)
        os.truncate(write(source / "small hole", b"") or source / "small hole", 50_000)

        started = time.monotonic()
        shared = a.share(source)
        print(f"share {time.monotonic() - started:.1f} s")
        started = time.monotonic()
        b.join(shared["magnet"], where / "dest", a.address)
        print(f"join {time.monotonic() - started:.1f} s")
        dest = where / "dest" / "images"
        for name in ("disk.img", "only zeros", "small hole"):
            assert same_content(source / name, dest / name), name
            assert os.stat(source / name).st_mtime_ns == os.stat(dest / name).st_mtime_ns
            assert on_disk(dest / name) <= MOST_ON_DISK, (name, on_disk(dest / name))
        assert b.stats()["chunk_bytes_in"] < 2 << 20, b.stats()

        # the next version is made from this one, holes and all
        put(disk, SIZE - 100_000, random_bytes(50_000, 1))
        started = time.monotonic()
        wait_for(lambda: same_content(disk, dest / "disk.img") and b.in_sync(shared["folder"]), 30, "the changed image")
        print(f"edit {time.monotonic() - started:.1f} s")
        assert on_disk(dest / "disk.img") <= MOST_ON_DISK, on_disk(dest / "disk.img")

        # killed in the middle: the partial file is taken up again, and its holes stay holes
        (where / "slow.toml").write_text(f"[network]\nupload_limit = {2 << 20}\n")
        a.stop()
        a.config = where / "slow.toml"
        a.start()
        put(disk, 3 << 30, random_bytes(6 << 20, 2))
        partials = dest / ".ut_xet"
        wait_for(lambda: [p for p in partials.glob("*") if on_disk(p) > 1 << 20], 30, "half a file")
        b.kill()
        assert not same_content(disk, dest / "disk.img")
        b.start()
        wait_for(lambda: same_content(disk, dest / "disk.img") and b.in_sync(shared["folder"]), 30, "the image after a kill")
        assert on_disk(dest / "disk.img") <= MOST_ON_DISK + (6 << 20), on_disk(dest / "disk.img")
        assert not partials.exists()


main()
