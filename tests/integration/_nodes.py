"""Real nodes for the integration tests: xetd processes on loopback, asked through the xet command."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

BIN = pathlib.Path(os.environ.get("UT_XET_BIN", pathlib.Path(__file__).resolve().parents[2] / "build" / "bin"))


def wait_for(condition, seconds=30.0, what="condition"):
    """Polls until condition() is true; returns its value."""
    until = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except FileNotFoundError:
            value = None  # a file came or went while it was looked at
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"timed out after {seconds} s: {what}")
        time.sleep(0.02)


def is_root():
    return os.geteuid() == 0


# What a program is started with to run as nobody; needs root.
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class Node:
    def __init__(self, base, name, listen="127.0.0.1:0", config=None, prefix=()):
        self.prefix = list(prefix)
        self.data = pathlib.Path(base) / name
        self.listen = listen
        self.config = config
        self.log_path = pathlib.Path(base) / f"{name}.log"
        self.process = None
        self.start()

    def start(self):
        command = [*self.prefix, BIN / "xetd", "--data", self.data, "--listen", self.listen, "--no-dht", "--no-lsd", "--no-upnp", "--foreground"]
        if self.config:
            command += ["--config", self.config]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline()
        assert line, f"xetd did not start: {self.log()}"
        self.ready = json.loads(line)
        self.port = self.ready["port"]
        self.address = f"127.0.0.1:{self.port}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("xetd did not stop within 20 s of SIGTERM")
        return self.process.returncode

    def log(self):
        return self.log_path.read_text(errors="replace")

    def xet(self, *args, check=True, timeout=120):
        done = subprocess.run([*self.prefix, BIN / "xet", "--data", self.data, *map(str, args)], capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"xet {' '.join(map(str, args))} -> {done.returncode}\n{done.stdout}{done.stderr}\n--- log\n{self.log()[-3000:]}")
        return done

    def share(self, folder, *args, codes=(0,)):
        done = self.xet("share", folder, "--json", *args, check=False)
        assert done.returncode in codes, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def join(self, source, dest, *peers, wait=True, extra=()):
        args = ["join", source, dest, *extra]
        for peer in peers:
            args += ["--peer", peer]
        if wait:
            args.append("--wait")
        return self.xet(*args)

    def status(self, folder=None):
        args = ["status", "--json"] + ([folder] if folder else [])
        rows = [json.loads(line) for line in self.xet(*args).stdout.splitlines()]
        return rows[0] if folder else rows

    def stats(self):
        return json.loads(self.xet("stats", "--json").stdout)

    def in_sync(self, folder, version=None):
        s = self.status(folder)
        return s["state"] == "in-sync" and (version is None or s["version"] == version)

    def rss(self):
        """Resident memory now and at its peak, in bytes."""
        fields = {}
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in ("VmRSS", "VmHWM"):
                fields[key] = int(value.split()[0]) * 1024
        return fields["VmRSS"], fields["VmHWM"]


@contextlib.contextmanager
def playground(*names, base=None):
    """A temporary directory and nodes in it; everything ends with the block. A name may come with a prefix of its command:
    such a node may belong to another user, and lies in a directory where that user may write."""
    where = pathlib.Path(tempfile.mkdtemp(prefix="ut_xet-test-", dir=base))
    nodes = []
    try:
        for name in names:
            if isinstance(name, str):
                nodes.append(Node(where, name))
                continue
            os.chmod(where, 0o755)
            home = where / f"home of {name[0]}"
            home.mkdir()
            os.chmod(home, 0o777)
            nodes.append(Node(home, name[0], prefix=name[1]))
        yield (where, *nodes)
        for node in nodes:
            assert node.process.poll() is None, f"{node.data.name} died: {node.log()[-2000:]}"
            assert node.stop() == 0, node.log()[-2000:]
    except BaseException:
        for node in nodes:
            print(f"--- {node.data.name}\n{node.log()[-3000:]}", file=sys.stderr)
        raise
    finally:
        for node in nodes:
            if node.process.poll() is None:
                node.kill()
        shutil.rmtree(where, ignore_errors=True)


def tree(root):
    """Everything below root that has to arrive identical."""
    root = os.fsencode(root)
    found = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            st = os.lstat(path)
            key = os.path.relpath(path, root)
            if stat.S_ISLNK(st.st_mode):
                found[key] = ("link", os.readlink(path), st.st_mtime_ns)
            elif stat.S_ISDIR(st.st_mode):
                found[key] = ("dir", st.st_mode & 0o777, st.st_mtime_ns)
            elif not stat.S_ISREG(st.st_mode):
                found[key] = ("special", st.st_mode)
            else:
                digest = hashlib.sha256()
                with open(path, "rb") as f:
                    while block := f.read(1 << 20):
                        digest.update(block)
                found[key] = ("file", st.st_size, st.st_mode & 0o777, st.st_mtime_ns, digest.hexdigest())
    return found


def assert_same(a, b):
    left, right = tree(a), tree(b)
    if left == right:
        return
    for key in sorted(left.keys() | right.keys()):
        if left.get(key) != right.get(key):
            raise AssertionError(f"{key!r} differs: {left.get(key)} != {right.get(key)}")


def touched(root):
    """When each entry below root was changed last, its mode and times included."""
    root = os.fsencode(root)
    return {path: os.lstat(path).st_ctime_ns
            for directory, names, files in os.walk(root) for path in [directory] + [os.path.join(directory, f) for f in names + files]}


def assert_settles(node, folder, root):
    """The folder is in sync, and the node has stopped changing things in it: it does not answer its own changes."""
    def quiet():
        before = touched(root)
        time.sleep(1)  # what is measured is the time that passes, not an event
        return node.in_sync(folder) and touched(root) == before

    wait_for(quiet, 15, f"{root} to be left alone")


def random_bytes(size, seed=0):
    """The same bytes for the same seed."""
    out = bytearray()
    counter = 0
    while len(out) < size:
        out += hashlib.shake_256(f"{seed}:{counter}".encode()).digest(min(1 << 20, size - len(out)))
        counter += 1
    return bytes(out)


def write(path, data):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
