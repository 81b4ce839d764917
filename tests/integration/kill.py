"""kill -9 of either node, 20 times during one transfer: it goes on, nothing verified is fetched again, nobody sees half a file."""

import random
import time

from _nodes import assert_same, playground, random_bytes, tree, wait_for, write

FOLDER_BYTES = 192 << 20


def main():
    seed = time.time_ns()
    print("seed", seed)
    rng = random.Random(seed)
    with playground("a", "b") as (where, a, b):
        source = where / "source" / "data"
        write(source / "large.bin", random_bytes(FOLDER_BYTES // 2))
        for i in range(FOLDER_BYTES // 2 // (64 << 10)):
            write(source / f"d{i % 13}" / f"{i}.bin", random_bytes(64 << 10, i))
        shared = a.share(source)
        expected = tree(source)
        # slow enough to be killed in the middle twenty times
        (where / "slow.toml").write_text(f"[network]\nupload_limit = {24 << 20}\n")
        a.stop()
        a.config = where / "slow.toml"
        a.start()
        b.join(shared["magnet"], where / "dest", a.address, wait=False)
        dest = where / "dest" / "data"

        def no_half_file():
            seen = tree(dest) if dest.exists() else {}
            for path, found in seen.items():
                if found[0] == "file" and not path.startswith(b".ut_xet"):
                    assert expected[path][1] == found[1] and expected[path][4] == found[4], f"{path} is half-written"

        fetched = 0
        kills = 0
        while kills < 20:
            time.sleep(rng.uniform(0.1, 0.5))
            victim = rng.choice([a, b])
            if victim is b:
                fetched += b.stats()["chunk_bytes_in"]
            victim.kill()
            no_half_file()
            victim.start()
            kills += 1
        wait_for(lambda: b.in_sync(shared["infohash"]), 120, "in sync after 20 kills")
        fetched += b.stats()["chunk_bytes_in"]
        assert_same(source, dest)
        metadata = 2 << 20
        second = 24 << 20
        print(f"{kills} kills; fetched {fetched} bytes for {FOLDER_BYTES}")
        assert fetched < FOLDER_BYTES + metadata + 20 * second, fetched
        # what was verified before a kill was taken up again: the sum is far below fetching everything anew each time
        assert fetched < 1.5 * FOLDER_BYTES, fetched


main()
