"""How lookups cost at ten million chunks: the lookup table alone, and a whole store that is opened and asked. Prints what
the two programs say; the targets are those of docs/store.md."""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("UT_XET_BIN", ROOT / "build" / "bin"))

parser = argparse.ArgumentParser(prog="tools/bench index", description=__doc__)
parser.add_argument("--chunks", type=int, default=10_000_000, help="how many (default ten million)")
parser.add_argument("--quick", action="store_true", help="two million chunks: shows that it works")
parser.add_argument("--dir", type=pathlib.Path, default=ROOT / "build", help="where the data lies (default: the build directory)")
parser.add_argument("--json", help="a file for the figures as JSON")
arguments = parser.parse_args()
chunks = 2_000_000 if arguments.quick else arguments.chunks


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"{command[0]} ended with {result.returncode}")
    print(result.stdout, flush=True)
    return result.stdout


def number(pattern, text):
    found = re.findall(pattern, text)
    if not found:
        sys.exit(f"no figure for {pattern}")
    return min(float(x) for x in found)


with tempfile.TemporaryDirectory(dir=arguments.dir) as where:
    run(BIN / "index_bench", "--chunks", str(chunks), "--dir", where)
    text = run(BIN / "store_bench", str(chunks), where)

rows = [  # figure, value, target, higher is better
    ("open a store, seconds", number(r"(?m)^open: ([\d.]+) s", text), 2, False),
    ("lookups of absent chunks a second", number(r"absent chunks: (\d+)/s", text), 1_000_000, True),
    ("lookups of present chunks a second", number(r"present chunks: (\d+)/s", text), 200_000, True),
    ("resident memory, MiB", number(r"resident: (\d+) MiB", text), 400, False),
]
met = True
for name, value, target, higher in rows:
    good = value >= target if higher else value <= target
    met = met and good
    print(f"{name:40} {value:14,.2f}   {'at least' if higher else 'at most'} {target:,}: {'ok' if good else 'short'}")
if arguments.json:
    pathlib.Path(arguments.json).write_text(json.dumps(
        [{"figure": n, "value": v, "target": t, "higher_is_better": h, "chunks": chunks} for n, v, t, h in rows], indent=1) + "\n")
sys.exit(0 if met else 3)
