"""What the benchmarks share: running programs with their memory measured, a node, peers, the table and the JSON."""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("UT_XET_BIN") or ROOT / "build" / "bin").resolve()
COMMAND_SECONDS = 900  # no single command may take longer
MIB = 1024 * 1024


class Failure(Exception):
    """Something did not do what it was run for: its time would mean nothing."""


# --- running -----------------------------------------------------------------------------------------------------------

class Run:
    def __init__(self, seconds, rss, out):
        self.seconds = seconds
        self.rss = rss  # peak, in bytes
        self.out = out


def run(*command, env=None, codes=(0,), cwd=None):
    """Runs a program to its end. Its wall time and its own (with its children's) peak memory."""
    command = [str(c) for c in command]
    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        signal.signal(signal.SIGALRM, lambda *_: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
        signal.alarm(COMMAND_SECONDS)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            signal.alarm(0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")
    if process.returncode not in codes:
        raise Failure(f"{' '.join(command)} -> {process.returncode}: {text[-1000:]}")
    return Run(seconds, usage.ru_maxrss * 1024, text)


def require(condition, what):
    if not condition:
        raise Failure(what)


def tree_bytes(path):
    """What the files below path hold."""
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)


def settle():
    """What the run before wrote is on its way to the disk no more."""
    os.sync()


def warm(path):
    """Brings a file or all files below a directory into the page cache."""
    path = pathlib.Path(path)
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    for p in files:
        with open(p, "rb", buffering=0) as f:
            while f.read(4 * MIB):
                pass


def ensure_packages(*programs):
    """programs: (program, Debian package)."""
    missing = [package for program, package in programs if not shutil.which(program)]
    if not missing:
        return
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    install = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if subprocess.run(install, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run([*prefix, "apt-get", "update", "-qq"], stdout=subprocess.DEVNULL)
        subprocess.run(install, stdout=subprocess.DEVNULL)
    missing = [program for program, _ in programs if not shutil.which(program)]
    if missing:
        print("not installed, their rows say so: " + " ".join(missing), file=sys.stderr)


# --- a node ------------------------------------------------------------------------------------------------------------

class Node:
    """An xetd on loopback, asked through the xet command, or through its control socket where that would cost too much."""

    def __init__(self, base):
        self.data = pathlib.Path(base)
        self.log = open(str(base) + ".log", "wb")
        self.process = subprocess.Popen([BIN / "xetd", "--data", self.data, "--listen", "127.0.0.1:0", "--no-dht", "--no-lsd", "--no-upnp"],
                                        stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline()
        require(line, "xetd did not start")
        self.control = json.loads(line)["control"]

    def xet(self, *args):
        return run(BIN / "xet", "--data", self.data, *args)

    def share(self, folder):
        """Its run, and what the node says of the folder."""
        self.forget_peak()
        done = self.xet("share", folder, "--json")
        done.rss = self.peak()
        return done, json.loads(done.out.splitlines()[-1])

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(self.control)
            s.sendall(json.dumps(request).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                part = s.recv(65536)
                require(part, "the node closed its control socket")
                answer += part
        answer = json.loads(answer.splitlines()[-1])
        require(answer.get("ok"), f"the node says {answer}")
        return answer["result"]

    def status(self, folder):
        return self.ask(cmd="status", folder=folder)["folders"][0]

    def wait_for_new_version(self, folder, seq, seconds=60):
        until = time.monotonic() + seconds
        while self.status(folder)["seq"] == seq:
            require(time.monotonic() < until, f"no new version within {seconds} s")
            time.sleep(0.002)
        return time.monotonic()

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


@contextlib.contextmanager
def node(base):
    n = Node(base)
    try:
        yield n
    finally:
        n.close()


# --- results -----------------------------------------------------------------------------------------------------------

class Figures:
    """The runs of one program for one row."""

    def __init__(self):
        self.values = []
        self.rss = 0

    def add(self, value, rss=0):
        self.values.append(value)
        self.rss = max(self.rss, rss)

    def median(self):
        return statistics.median(self.values) if self.values else None


class Report:
    def __init__(self, name, quick):
        self.name = name
        self.quick = quick
        self.rows = []

    def row(self, figure, unit, ours, peer_name=None, peer=None, target=None, at_least=None, at_most=None, note=""):
        """ours, peer: Figures. The ratio is peer / ours of times, rates and sizes alike. target: what at_least or at_most
        holds: "ours" (the value itself), "ratio" (peer / ours) or "inverse" (ours / peer)."""
        o = ours.median() if ours else None
        p = peer.median() if peer else None
        ratio = p / o if o and p else None
        judged = {"ours": o, "ratio": ratio, "inverse": 1 / ratio if ratio else None, None: None}[target]
        good = None
        if judged is not None:
            good = (at_least is None or judged >= at_least) and (at_most is None or judged <= at_most)
        bound = "" if target is None else (f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}")
        words = {"ours": unit, "ratio": "x faster" if unit == "s" else "x", "inverse": "x its " + ("time" if unit == "s" else "size"), None: ""}[target]
        self.rows.append({
            "figure": figure, "unit": unit, "ours": o, "peer_name": peer_name, "peer": p, "ratio": ratio,
            "target": f"{bound} {words}".strip(), "ok": good, "note": note,
            "ours_runs": ours.values if ours else [], "peer_runs": peer.values if peer else [],
            "ours_peak_rss": ours.rss if ours else None, "peer_peak_rss": peer.rss if peer else None})
        r = self.rows[-1]
        print(f"  {figure}: {shown(o)} {unit}" + (f", {peer_name} {shown(p)}" if peer_name else "") + (f" ({note})" if note else "")
              + ("" if good is None else ", ok" if good else ", SHORT"), file=sys.stderr, flush=True)
        return r

    def print_table(self):
        head = ("figure", "ours", "peer", "ratio", "target", "", "peak MiB ours / peer")
        lines = [head]
        for r in self.rows:
            lines.append((
                r["figure"], f"{shown(r['ours'])} {r['unit']}" if r["ours"] is not None else r["note"] or "-",
                f"{r['peer_name']} {shown(r['peer'])}" if r["peer_name"] else "",
                f"{r['ratio']:.2f}" if r["ratio"] else "", r["target"],
                "" if r["ok"] is None else "ok" if r["ok"] else "short",
                f"{mib(r['ours_peak_rss'])} / {mib(r['peer_peak_rss'])}"))
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        for line in lines:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())

    def json(self):
        return {"bench": self.name, "quick": self.quick, "date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
                "processor": processor(), "rows": self.rows}

    def finish(self, to):
        """Prints the table; the exit code: 0, or 3 when a target was missed."""
        if to == "-":
            for r in self.rows:
                print(json.dumps(r))
        else:
            self.print_table()
            if to:
                pathlib.Path(to).write_text(json.dumps(self.json(), indent=1) + "\n")
        return 3 if any(r["ok"] is False for r in self.rows) else 0


def shown(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 1 else f"{value:.2f}"


def mib(size):
    return f"{size / MIB:.0f}" if size else "-"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def options(description):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--runs", type=int, default=None, metavar="N", help="runs per figure, of which the median counts (default 5; 2 with --quick)")
    p.add_argument("--quick", action="store_true", help="small data: shows that everything works, its figures mean little")
    p.add_argument("--dir", default=None, help="where the data lies (default: the build directory); needs some 10 GB")
    p.add_argument("--json", default=None, metavar="FILE", help="write the results there, too; - prints one line per row instead of the table")
    p.add_argument("--only", default=None, metavar="ROW,...", help="only these groups of rows")
    a = p.parse_args()
    a.runs = a.runs or (2 if a.quick else 5)
    return a


@contextlib.contextmanager
def workplace(where):
    base = pathlib.Path(where) if where else (ROOT / "build" if (ROOT / "build").is_dir() else ROOT)
    base.mkdir(parents=True, exist_ok=True)
    path = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=base))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
