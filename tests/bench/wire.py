"""Fetching through the plugin, from xetd to xetd, against libtorrent's own piece download of the same file. Run by
tools/bench wire; docs/bench.md says what the figures mean.

Ours: from the first chunk asked for to the file in its place: asked, sent, received, hash verified, written, synced, renamed;
the node measures it and says so in its log. What a join takes before that (connecting, the folder's head and metadata) is in
the note. libtorrent's: from the
connection to the torrent being finished. The CPU time is that of both processes within the same span: for ours from the
moment the folder's status names bytes to fetch, looked at every few milliseconds."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

from _bench import BIN, MIB, Failure, Figures, Node, Report, options, require, run, settle, warm, workplace

TICK = os.sysconf("SC_CLK_TCK")
# uTP moves a hundredth of what TCP does
SIZE = {"tcp": 1024 * MIB, "encrypted": 1024 * MIB, "utp": 64 * MIB}
QUICK = {"tcp": 64 * MIB, "encrypted": 64 * MIB, "utp": 8 * MIB}
TARGETS = {64: 2.5, 16: 2.0}
OURS = {"tcp": {"UT_XET_NETWORK_OUTGOING": "tcp", "UT_XET_NETWORK_ENCRYPTION": "off"},
        "encrypted": {"UT_XET_NETWORK_OUTGOING": "tcp", "UT_XET_NETWORK_ENCRYPTION": "required"},
        "utp": {"UT_XET_NETWORK_OUTGOING": "utp", "UT_XET_NETWORK_ENCRYPTION": "off"}}
SECONDS = 600
EIGHT = 8


@contextlib.contextmanager
def environment(**values):
    before = {k: os.environ.get(k) for k in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for k, v in before.items():
            if v is None:
                del os.environ[k]
            else:
                os.environ[k] = v


def cpu(pid):
    """User and system seconds of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def make_file(path, size):
    path.parent.mkdir(parents=True)
    with open(path, "wb") as out:
        for _ in range(size // MIB):
            out.write(os.urandom(MIB))
    return path


class Fetch:
    """A node that joins a folder, and what that took."""

    def __init__(self, base, name, server, link, folder, transport):
        self.dest = base / f"{name}.dest"
        self.folder = folder
        self.server = server
        with environment(**OURS[transport]):
            self.node = Node(base / name)
        self.begin = time.monotonic()
        self.node.xet("join", link, self.dest, "--peer", f"127.0.0.1:{server.port}")

    def wait(self, size):
        until = time.monotonic() + SECONDS
        while True:
            status = self.node.status(self.folder)
            if status["need_bytes"] > 0 or status["state"] == "in-sync":
                break
            require(time.monotonic() < until, f"asks for nothing after {SECONDS} s: {status}")
            time.sleep(0.003)
        self.cpu = -self.both()
        while self.node.status(self.folder)["state"] != "in-sync":
            require(time.monotonic() < until, f"not in sync after {SECONDS} s: {self.node.status(self.folder)}")
            time.sleep(0.02)
        self.end = time.monotonic()
        self.cpu += self.both()
        log = pathlib.Path(self.node.log.name).read_text()
        said = re.search(r"is in place; (\d+) bytes of it were fetched in (\d+) ms", log)
        require(said, f"its log does not say how long it took: {log[-500:]}")
        require(int(said[1]) == size, f"{said[1]} bytes fetched of {size}")
        self.seconds = int(said[2]) / 1000
        return self

    def both(self):
        return cpu(self.node.process.pid) + cpu(self.server.process.pid)

    def close(self):
        self.node.close()
        shutil.rmtree(self.node.data, ignore_errors=True)
        shutil.rmtree(self.dest, ignore_errors=True)


def publisher(base, file, transport, target):
    with environment(**OURS[transport]):
        node = Node(base / f"publisher-{transport}-{target}")
    node.port = node.ask(cmd="status")["port"]
    done = json.loads(node.xet("share", file.parent, "--target", target * 1024, "--json").out.splitlines()[-1])
    return node, done


class Ours:
    def __init__(self, base, file, transport, target):
        self.base, self.file, self.transport = base, file, transport
        self.size = file.stat().st_size
        self.server, self.shared = publisher(base, file, transport, target)
        self.times, self.cpu, self.joins, self.longest = Figures(), Figures(), [], Figures()
        self.p999 = []

    def once(self):
        settle()
        f = Fetch(self.base, "follower", self.server, self.shared["link"], self.shared["folder"], self.transport)
        try:
            f.wait(self.size)
            arrived = f.dest / self.shared["name"] / self.file.name
            require(subprocess.run(["cmp", arrived, self.file]).returncode == 0, "another file arrived")
            self.times.add(f.seconds, f.node.peak())
            self.cpu.add(f.cpu)
            self.joins.append(f.end - f.begin - f.seconds)
            for node in (f.node, self.server):
                stats = node.ask(cmd="stats")
                self.p999.append(stats.get("network_thread_us_p999"))
                self.longest.add(stats.get("network_thread_us_max", 0))
        finally:
            f.close()

    def close(self):
        self.server.close()


class Libtorrent:
    def __init__(self, base, file, torrent, transport):
        self.file, self.torrent, self.transport = file, torrent, transport
        self.dest = base / "pieces"
        self.server = subprocess.Popen([BIN / "piece_peer", "seed", torrent, file.parent, transport],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = json.loads(self.server.stdout.readline())["port"]
        self.times, self.cpu = Figures(), Figures()

    def once(self):
        settle()
        self.dest.mkdir()
        before = cpu(self.server.pid)
        try:
            done = run(BIN / "piece_peer", "fetch", self.torrent, self.dest, self.transport, self.port)
            said = json.loads(done.out.splitlines()[-1])
            require(subprocess.run(["cmp", self.dest / self.file.name, self.file]).returncode == 0, "libtorrent: another file arrived")
            self.times.add(said["seconds"], done.rss)
            self.cpu.add(said["cpu"] + cpu(self.server.pid) - before)
        finally:
            shutil.rmtree(self.dest)

    def close(self):
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()


def rate(size, seconds):
    return f"{size / seconds / 1e6:,.0f} MB/s"


def compare(report, base, runs, quick, transport):
    size = (QUICK if quick else SIZE)[transport]
    file = make_file(base / f"source-{transport}" / "file.bin", size)
    torrent = base / "file.torrent"
    run(BIN / "piece_peer", "make", file, torrent)
    ours = {target: Ours(base, file, transport, target) for target in (64, 16)}
    theirs = Libtorrent(base, file, torrent, transport)
    try:
        for _ in range(runs):
            for one in (*ours.values(), theirs):
                one.once()
    finally:
        for one in (*ours.values(), theirs):
            one.close()
    shutil.rmtree(file.parent)
    for target, o in ours.items():
        words = f"{transport}, {target} KiB chunks"
        at_least = 1.0 if transport == "utp" else TARGETS[target]
        report.row(f"fetch {size // MIB} MiB, {words}", "s", o.times, "libtorrent", theirs.times, "ratio", at_least=at_least,
                   note=f"{rate(size, o.times.median())} against {rate(size, theirs.times.median())}; join {statistics.median(o.joins):.2f} s more")
        # uTP has no bound of this kind
        bound = {} if transport == "utp" else {"target": "inverse", "at_most": 0.5}
        report.row(f"its CPU time, both processes, {words}", "s", o.cpu, "libtorrent", theirs.cpu, **bound)
        known = Figures()
        known.values = [p for p in o.p999 if p is not None]
        report.row(f"plugin code on the network thread, 99.9th percentile, {words}", "µs", known, target="ours", at_most=1000,
                   note=f"longest {max(o.longest.values):,.0f} µs")


def bench_tcp(report, base, a):
    compare(report, base, a.runs, a.quick, "tcp")


def bench_encrypted(report, base, a):
    compare(report, base, a.runs, a.quick, "encrypted")


def bench_utp(report, base, a):
    compare(report, base, a.runs, a.quick, "utp")


def serve(base, server, shared, size, count):
    """Seconds from the first join to the last file in place, less what came before a node asked for chunks."""
    settle()
    fetches = []
    try:
        for i in range(count):
            fetches.append(Fetch(base, f"follower{i}", server, shared["link"], shared["folder"], "tcp"))
        for f in fetches:
            f.wait(size)
        ends = [f.end for f in fetches]
        return max(ends) - min(f.end - f.seconds for f in fetches)
    finally:
        for f in fetches:
            f.close()


def bench_eight(report, base, a):
    """The same bytes in total: a folder to one, and an eighth of its size to each of eight."""
    size = (QUICK if a.quick else SIZE)["tcp"]
    one, eight = Figures(), Figures()
    nodes = {}
    for count in (1, EIGHT):
        file = make_file(base / f"source-{count}" / "file.bin", size // count)
        place = base / f"node-{count}"
        place.mkdir()
        nodes[count] = (file, *publisher(place, file, "tcp", 64))
    try:
        for _ in range(a.runs):
            for count, into in ((1, one), (EIGHT, eight)):
                file, server, shared = nodes[count]
                into.add(serve(base, server, shared, size // count, count))
    finally:
        for _, server, _ in nodes.values():
            server.close()
    report.row(f"{size // MIB} MiB in total to {EIGHT} peers at once", "s", eight, "to one", one, "ratio", at_least=0.9,
               note=f"{rate(size, eight.median())} against {rate(size, one.median())}")


GROUPS = {"tcp": bench_tcp, "encrypted": bench_encrypted, "utp": bench_utp, "eight": bench_eight}


def main():
    a = options("Fetching over the wire. Rows: " + ", ".join(GROUPS))
    wanted = a.only.split(",") if a.only else list(GROUPS)
    for name in wanted:
        if name not in GROUPS:
            sys.exit(f"no rows {name}; there are: {', '.join(GROUPS)}")
    report = Report("wire", a.quick)
    failed = []
    with workplace(a.dir or "/dev/shm") as base:
        for name in wanted:
            print(f"{name} …", file=sys.stderr, flush=True)
            place = base / name
            place.mkdir()
            try:
                GROUPS[name](report, place, a)
            except Failure as e:
                failed.append(name)
                print(f"{name} failed: {e}", file=sys.stderr)
            shutil.rmtree(place, ignore_errors=True)
    code = report.finish(a.json)
    return 1 if failed else code


if __name__ == "__main__":
    sys.exit(main())
