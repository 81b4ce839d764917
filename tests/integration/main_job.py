"""Share, join, edit: the main job between two nodes."""

import os
import time

from _nodes import assert_same, playground, random_bytes, wait_for, write


def traffic(*nodes):
    return sum(node.stats()["wire_bytes_in"] for node in nodes)


def main():
    with playground("a", "b") as (where, a, b):
        source = where / "source" / "photos"
        write(source / "big.bin", random_bytes(20 << 20))
        for i in range(300):
            write(source / f"dir{i % 7}" / f"file {i}.txt", random_bytes(i * 37, i))
        write(source / "empty", b"")
        (source / "no files" / "deep").mkdir(parents=True)
        os.chmod(source / "dir0" / "file 0.txt", 0o755)
        os.symlink("dir1/file 1.txt", source / "link")

        shared = a.share(source)
        assert shared["files"] == 302 and shared["bytes"] > 20 << 20, shared
        b.join(shared["magnet"], where / "dest", a.address)
        dest = where / "dest" / "photos"
        assert_same(source, dest)
        assert b.status()[0]["need_bytes"] == 0

        def edit_arrives(change, at_most):
            before = traffic(a, b)
            reused = b.stats()["chunk_bytes_local"]
            change()
            started = time.monotonic()
            wait_for(lambda: same(source, dest), 20, "the edit on the other node")
            took = time.monotonic() - started
            wait_for(lambda: b.in_sync(shared["folder"]), 5, "in sync")
            moved = traffic(a, b) - before
            print(f"{change.__name__}: {took:.2f} s, {moved} bytes on the wire, {b.stats()['chunk_bytes_local'] - reused} reused")
            assert moved <= at_most, (change.__name__, moved)

        def same(x, y):
            try:
                assert_same(x, y)
                return True
            except (AssertionError, FileNotFoundError):
                return False

        def insert_one_byte():
            data = (source / "big.bin").read_bytes()
            (source / "big.bin").write_bytes(b"!" + data)

        def rename_a_directory():
            os.rename(source / "dir3", source / "renamed")

        def delete_a_file():
            os.unlink(source / "dir2" / "file 2.txt")

        def copy_a_file():
            write(source / "copy.bin", (source / "big.bin").read_bytes())

        def replace_a_file_by_a_directory():
            os.unlink(source / "empty")
            write(source / "empty" / "now a directory", b"x")

        edit_arrives(insert_one_byte, 256 << 10)
        edit_arrives(rename_a_directory, 64 << 10)
        edit_arrives(delete_a_file, 32 << 10)
        edit_arrives(copy_a_file, 64 << 10)
        edit_arrives(replace_a_file_by_a_directory, 32 << 10)


main()
