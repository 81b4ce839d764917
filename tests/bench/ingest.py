"""Taking data in: chunking, sharing a folder in place, small files, sharing again after an edit, and the chunk store,
against programs that do the like. Run by tools/bench ingest; docs/bench.md says what the figures mean."""

import multiprocessing
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

from _bench import (BIN, MIB, Failure, Figures, Report, ensure_packages, node, options, require, run, settle, tree_bytes,
                    warm, workplace)

# The chunk sizes ut_xet has: 8 KiB at least, 16 KiB on average, 128 KiB at most (borg takes powers of two up to 2^17).
BORG_CHUNKS = "buzhash,13,17,14,4095"
BORG_ENV = {"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
NOT_THERE = "not available"


class Sizes:
    def __init__(self, quick):
        self.large = 64 * MIB if quick else 1024 * MIB
        self.chunk_mib = 64 if quick else 512
        self.many = 2_000 if quick else 100_000
        self.some = 1_000 if quick else 20_000
        self.versions = 3 if quick else 10
        self.version_bytes = 16 * MIB if quick else 200 * MIB


# --- data --------------------------------------------------------------------------------------------------------------

def random_file(path, size):
    with open(path, "wb") as f:
        for _ in range(size // MIB):
            f.write(os.urandom(MIB))
    require(path.stat().st_size == size, f"{path} could not be made")


def small_files(where, count, seed):
    """count files of 2-10 KiB, a hundred to a directory."""
    r = random.Random(seed)
    total = 0
    for i in range(count):
        if i % 100 == 0:
            folder = where / f"{i // 10_000:02}" / f"{i // 100 % 100:02}"
            folder.mkdir(parents=True)
        data = r.randbytes(r.randint(2048, 10240))
        (folder / f"file {i:06}.dat").write_bytes(data)
        total += len(data)
    return total


def edited(data, r):
    """The next version: twenty small edits, some of which move what follows."""
    for _ in range(20):
        at = r.randrange(len(data))
        data[at:at + r.choice((0, 1, 50))] = r.randbytes(r.choice((1, 50, 300)))
    return data


def make_versions(names, size):
    r = random.Random(3)
    data = bytearray(r.randbytes(size))
    for name in names:
        name.write_bytes(data)
        data = edited(data, r)


# --- peers -------------------------------------------------------------------------------------------------------------

class Peers:
    """Each takes one path into a fresh store of its own, removed again; what is timed is the taking in alone."""

    def __init__(self, base):
        self.base = base
        self.env = {**BORG_ENV, "BORG_BASE_DIR": str(base / "borg-home"), "RESTIC_PASSWORD": "bench",
                    "RESTIC_CACHE_DIR": str(base / "restic-cache")}

    def borg(self, path, size):
        repo = self.base / "borg"
        run("borg", "init", "-e", "none", repo, env=self.env)
        settle()
        return self._keep(repo, size, run("borg", "create", "--chunker-params", BORG_CHUNKS, "-C", "lz4", f"{repo}::a", path, env=self.env))

    def restic(self, path, size):
        repo = self.base / "restic"
        run("restic", "-r", repo, "init", env=self.env)
        settle()
        return self._keep(repo, size, run("restic", "-q", "-r", repo, "backup", path, env=self.env))

    def casync(self, path, size):
        store = self.base / "casync"
        store.mkdir()
        settle()
        return self._keep(store, size, run("casync", "make", "--chunk-size=8192:16384:131072", f"--store={store}", store / "a.caibx", path))

    def xet_store(self, path, size):
        data = self.base / "xet-store"
        settle()
        return self._keep(data, size, run(BIN / "xet", "--data", data, "store", "add", path))

    @staticmethod
    def _keep(store, size, done):
        """Random data cannot become smaller: a store that is, has not got it."""
        kept = tree_bytes(store)
        shutil.rmtree(store)
        require(kept >= size, f"{store.name} holds {kept} of {size} bytes")
        return done


def has_store():
    """An xet without the command answers --help as well, with its own help."""
    try:
        said = subprocess.run([BIN / "xet", "store", "--help"], capture_output=True, text=True, timeout=20)
    except OSError:
        return False
    return said.returncode == 0 and re.search(r"^\s+add\b", said.stdout, re.MULTILINE) is not None


def b3sum(path):
    done = run("b3sum", "--num-threads", "2", path)
    require(len(done.out.split()[0]) == 64, "b3sum printed no hash")
    return done


def copy(path, to):
    done = run("cp", path, to)
    require(to.stat().st_size == path.stat().st_size, "cp made another size")
    to.unlink()
    return done


class Group:
    """The programs of one group of rows, run in turn; one that is missing or fails has no figures from then on."""

    def __init__(self):
        self.figures = {}
        self.notes = {}

    def measure(self, name, action, program=None):
        if name in self.notes:
            return
        if program and not shutil.which(program):
            self.notes[name] = NOT_THERE
            return
        try:
            done = action()
            self.figures.setdefault(name, Figures()).add(done.seconds, done.rss)
        except Failure as e:
            self.figures.pop(name, None)
            self.notes[name] = "failed"
            print(f"{name} failed: {e}", file=sys.stderr)

    def row(self, report, figure, ours, peer, **target):
        report.row(figure, "s", self.figures.get(ours), peer, self.figures.get(peer), note=self.note_of(ours, peer), **target)

    def note_of(self, ours, peer):
        """What is to be said of the two, if anything."""
        return "; ".join(([self.notes[ours]] if ours in self.notes else []) + ([f"{peer} {self.notes[peer]}"] if peer in self.notes else []))


# --- groups of rows ----------------------------------------------------------------------------------------------------

def bench_chunking(report, sizes, base, runs):
    figures = {}
    for _ in range(runs):
        for kib in (16, 64):
            name = f"chunk_lengths, random, {kib} KiB"
            done = run("taskset", "-c", "0", BIN / "chunk_bench", sizes.chunk_mib, base, name)
            line = [x for x in done.out.splitlines() if x.startswith(name)]
            require(len(line) == 1, f"chunk_bench printed {done.out!r}")
            figures.setdefault(kib, Figures()).add(float(line[0].split()[-1]), done.rss)
    for kib, least in ((16, 4), (64, 3)):
        report.row(f"chunking alone, {kib} KiB, one core", "GB/s", figures[kib], target="ours", at_least=least)


def share_once(n, folder, files, size):
    """Shares a folder as a new one, and forgets it again."""
    settle()
    done, told = n.share(folder)
    require((told["files"], told["bytes"]) == (files, size), f"{files} files of {size} bytes were shared as {told}")
    n.xet("leave", told["folder"])
    return done


def bench_share(report, sizes, base, runs):
    source = base / "large.bin"
    random_file(source, sizes.large)
    peers, group = Peers(base), Group()
    with node(base / "node") as n:
        for i in range(runs):
            folder = base / f"share {i}"
            folder.mkdir()
            os.link(source, folder / "large.bin")
            warm(source)
            group.measure("xet share", lambda: share_once(n, folder, 1, sizes.large))
            group.measure("b3sum -t 2", lambda: b3sum(source), "b3sum")
            group.measure("cp", lambda: copy(source, base / "copy"))
            group.measure("borg", lambda: peers.borg(source, sizes.large), "borg")
            shutil.rmtree(folder)
    source.unlink()
    what = f"share {sizes.large // MIB} MiB in place"
    group.row(report, what, "xet share", "borg", target="ratio", at_least=10)
    group.row(report, what, "xet share", "b3sum -t 2", target="inverse", at_most=2.5)
    group.row(report, what, "xet share", "cp")


def bench_store(report, sizes, base, runs):
    source = base / "large.bin"
    random_file(source, sizes.large)
    peers, group = Peers(base), Group()
    if not has_store():
        group.notes["xet store add"] = NOT_THERE
    for _ in range(runs):
        warm(source)
        group.measure("xet store add", lambda: peers.xet_store(source, sizes.large))
        group.measure("borg", lambda: peers.borg(source, sizes.large), "borg")
        group.measure("restic", lambda: peers.restic(source, sizes.large), "restic")
        group.measure("casync", lambda: peers.casync(source, sizes.large), "casync")
    source.unlink()
    what = f"store {sizes.large // MIB} MiB of random data"
    group.row(report, what, "xet store add", "borg", target="ratio", at_least=4)
    group.row(report, what, "xet store add", "restic")
    group.row(report, what, "xet store add", "casync")


def bench_many(report, sizes, base, runs):
    folder = base / "many"
    total = small_files(folder, sizes.many, 1)
    rate = Figures()
    with node(base / "node") as n:
        for i in range(runs):
            # another place is another folder: nothing is known of it
            folder = folder.rename(base / f"many {i}")
            warm(folder)
            done = share_once(n, folder, sizes.many, total)
            rate.add(sizes.many / done.seconds, done.rss)
    shutil.rmtree(folder)
    report.row(f"share {sizes.many:,} small files in place", "files/s", rate, target="ours", at_least=20_000)


def edit_one(folder, i):
    path = sorted(p for p in folder.rglob("*.dat"))[i * 7]
    with open(path, "r+b") as f:
        f.seek(100)
        f.write(os.urandom(16))


def bench_again(report, sizes, base, runs):
    folder, copied = base / "some", base / "some copied"
    small_files(folder, sizes.some, 2)
    asked, watched, rsync = Figures(), Figures(), Figures()
    run("rsync", "-a", f"{folder}/", f"{copied}/")
    with node(base / "node") as n:
        _, told = n.share(folder)
        require(told["files"] == sizes.some, f"shared {told}")
        which = told["folder"]
        for i in range(runs):
            for figures, ask in ((asked, True), (watched, False)):
                settle()
                seq = n.status(which)["seq"]
                n.forget_peak()
                edit_one(folder, 2 * i + ask)
                start = time.monotonic()
                if ask:
                    n.ask(cmd="rescan", folder=which)
                figures.add(n.wait_for_new_version(which, seq) - start, n.peak())
                # its whole scan, with the one that events still under way may cause
                time.sleep(0.5)
            run("rsync", "-a", f"{folder}/", f"{copied}/")
            done = run("rsync", "-a", f"{folder}/", f"{copied}/")
            require(tree_bytes(copied) == tree_bytes(folder), "rsync's copy differs")
            rsync.add(done.seconds, done.rss)
    shutil.rmtree(folder)
    shutil.rmtree(copied)
    what = f"one edit among {sizes.some:,} files to the new version"
    report.row(f"{what}, asked to rescan", "s", asked, "rsync, no change", rsync, target="ratio", at_least=1)
    report.row(f"{what}, by watching", "s", watched, "rsync, no change", rsync)


def bench_versions(report, sizes, base, runs):
    """Sizes, not times: once is enough."""
    del runs
    names = [base / f"version {i}.bin" for i in range(sizes.versions)]
    # in a process of its own: whoever is started from here would count this one's peak memory as its own
    maker = multiprocessing.Process(target=make_versions, args=(names, sizes.version_bytes))
    maker.start()
    maker.join()
    require(maker.exitcode == 0, "the versions could not be made")
    total = sum(p.stat().st_size for p in names)
    env = Peers(base).env
    repo, store, group = base / "borg", base / "xet-store", Group()
    figures = {"xet store add": Figures(), "borg": Figures()}

    def keep(name, kept, add):
        done = [add(i, p) for i, p in enumerate(names)]
        size = tree_bytes(kept)
        require(size >= sizes.version_bytes, f"{kept.name} holds {size} bytes, less than one version")
        figures[name].add(size / 1e6, max(d.rss for d in done))
        return done[-1]

    if has_store():
        group.measure("xet store add", lambda: keep("xet store add", store, lambda _, p: run(BIN / "xet", "--data", store, "store", "add", p)))
    else:
        group.notes["xet store add"] = NOT_THERE
    if shutil.which("borg"):
        run("borg", "init", "-e", "none", repo, env=env)
    group.measure("borg", lambda: keep("borg", repo, lambda i, p: run(
        "borg", "create", "--chunker-params", BORG_CHUNKS, "-C", "lz4", f"{repo}::{i}", p, env=env)), "borg")
    report.row(f"store of {sizes.versions} versions of {sizes.version_bytes // MIB} MiB ({total // 10**6} MB)", "MB",
               figures["xet store add"], "borg", figures["borg"], target="inverse", at_most=1, note=group.note_of("xet store add", "borg"))


GROUPS = {"chunking": bench_chunking, "share": bench_share, "store": bench_store, "many": bench_many, "again": bench_again,
          "versions": bench_versions}


def main():
    a = options("Taking data in. Rows: " + ", ".join(GROUPS))
    wanted = a.only.split(",") if a.only else list(GROUPS)
    for name in wanted:
        if name not in GROUPS:
            sys.exit(f"no rows {name}; there are: {', '.join(GROUPS)}")
    ensure_packages(("borg", "borgbackup"), ("restic", "restic"), ("casync", "casync"), ("b3sum", "b3sum"), ("rsync", "rsync"))
    report = Report("ingest", a.quick)
    failed = []
    with workplace(a.dir) as base:
        for name in wanted:
            print(f"{name} …", file=sys.stderr, flush=True)
            place = base / name
            place.mkdir()
            try:
                GROUPS[name](report, Sizes(a.quick), pathlib.Path(place), a.runs)
            except Failure as e:
                failed.append(name)
                print(f"{name} failed: {e}", file=sys.stderr)
            shutil.rmtree(place, ignore_errors=True)
    code = report.finish(a.json)
    return 1 if failed else code


if __name__ == "__main__":
    sys.exit(main())
