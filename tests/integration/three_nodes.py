"""A third node that joins while the second is half done gets chunks from both; the publisher sends less than 1.3 times the folder."""

from _nodes import Node, assert_same, playground, random_bytes, wait_for, write

FOLDER_BYTES = 192 << 20


def main():
    with playground("a", "b", "c") as (where, a, b, c):
        source = where / "source" / "data"
        for i in range(FOLDER_BYTES >> 20):
            write(source / f"d{i % 5}" / f"{i}.bin", random_bytes(1 << 20, i))
        (where / "slow.toml").write_text(f"[network]\nupload_limit = {20 << 20}\n")
        for node in (a, b, c):
            node.stop()
            node.config = where / "slow.toml"
            node.start()
        shared = a.share(source)
        b.join(shared["magnet"], where / "at b", a.address, wait=False)
        half = wait_for(lambda: 0 < b.status()[0]["need_bytes"] < FOLDER_BYTES // 2, 60, "half of the folder on b")
        assert half
        # c is told of the publisher only: it learns of b from it
        c.join(shared["magnet"], where / "at c", a.address)
        wait_for(lambda: b.in_sync(shared["folder"]), 60, "b in sync")
        assert_same(source, where / "at b" / "data")
        assert_same(source, where / "at c" / "data")
        sent = {n: node.stats()["chunk_bytes_out"] for n, node in (("a", a), ("b", b), ("c", c))}
        print("sent", sent, "ratio", sent["a"] / FOLDER_BYTES)
        assert sent["b"] > FOLDER_BYTES // 4, sent
        assert sent["a"] < 1.3 * FOLDER_BYTES, sent


main()
