"""200 rounds of adding, giving up, collecting and packing, each killed with SIGKILL at a random moment: no file whose
addition was acknowledged is lost, nothing refers to what is not there, and an index made again from xorbs and shards is
the same."""

import json
import os
import pathlib
import random
import subprocess
import tempfile
import time

from _nodes import BIN

ROUNDS = 200
CHECK_EVERY = 25
SEED = int(os.environ.get("UT_XET_SEED", random.randrange(1 << 30)))
print(f"UT_XET_SEED={SEED} repeats the choices of this run, though not its timing")
dice = random.Random(SEED)


def xet(*args, **kwargs):
    return subprocess.run([BIN / "xet", "--data", data, *args], capture_output=True, timeout=120, **kwargs)


def killed_or_done(*args):
    """Exit code, or None when the process was killed; what it wrote until then."""
    begun = time.monotonic()
    process = subprocess.Popen([BIN / "xet", "--data", data, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        # within about the time that the command takes; one in four is left alone
        out, err = process.communicate(timeout=30 if dice.random() < 0.25 else dice.uniform(0, 1.2 * usual[0]))
        usual[0] = 0.9 * usual[0] + 0.1 * (time.monotonic() - begun)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return None, out, err


usual = [0.1]  # seconds, a moving mean


def content(number):
    """Files share parts, so that their chunks have several holders; some can be compressed."""
    shared = random.Random(number % 5).randbytes(40_000 + 7_000 * (number % 5))
    own = random.Random(1000 + number).randbytes(dice_size[number % len(dice_size)])
    text = b"".join(b"line %d of %d\n" % (i, number) for i in range(3000)) if number % 3 == 0 else b""
    return shared + own + text


dice_size = [100, 20_000, 90_000, 300_000]


def check():
    result = xet("store", "check", "--json")
    assert result.returncode == 0, result.stdout.decode() + result.stderr.decode()
    for name, digest in held.items():
        target = work / "out"
        got = xet("store", "get", digest, "-o", target)
        assert got.returncode == 0, f"{name} is lost: {got.stderr.decode()}"
        assert target.read_bytes() == (files / name).read_bytes(), f"{name} came back with another content"
    return json.loads(result.stdout)


with tempfile.TemporaryDirectory() as directory:
    work = pathlib.Path(directory)
    data, files = work / "node", work / "files"
    files.mkdir()
    held, kills, added = {}, 0, 0
    for number in range(ROUNDS):
        path = files / f"file{number}"
        path.write_bytes(content(number))
        code, out, err = killed_or_done("store", "add", "--json", path)
        assert code in (0, None), err.decode()
        kills += code is None
        if code == 0:
            held[path.name] = json.loads(out.splitlines()[0])["hash"]
            added += 1
        if held and dice.random() < 0.15:
            digest = held.pop(dice.choice(sorted(held)))  # from here on it may be there or not
            code, _, err = killed_or_done("store", "rm", digest)
            assert code in (0, None), err.decode()
            kills += code is None
        for command in (["cleanup", "--max-age-days", "0"], ["store", "pack"]):
            code, _, err = killed_or_done(*command)
            # at first nothing was ever added
            assert code in (0, None) or b"there is no store" in err, err.decode()
            kills += code is None
        if number % CHECK_EVERY == CHECK_EVERY - 1 and (data / "store").exists():
            check()
    before = check()
    assert added > 40 and kills > 100, f"a poor run: {added} additions, {kills} kills"
    rebuilt = xet("store", "rebuild-index", "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr.decode()
    after = check()
    assert before["fingerprint"] == after["fingerprint"], "the index made again differs"
    leftovers = [p.name for p in (data / "store").rglob(".tmp-*")]
    assert not leftovers, leftovers
    print(f"{ROUNDS} rounds, {kills} kills, {added} files acknowledged, {len(held)} still held: all there")
