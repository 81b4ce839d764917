"""xetd that cannot start says why, quickly, on stderr, with exit code 1 (2 for wrong usage), and leaves nothing behind."""

import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import time

from _nodes import AS_NOBODY, BIN, is_root, playground, write

QUIET = ["--no-dht", "--no-lsd", "--no-upnp"]


def fails(*args, words=(), code=1, prefix=(), env=None, seconds=4):
    started = time.monotonic()
    done = subprocess.run([*prefix, BIN / "xetd", *QUIET, *map(str, args)], capture_output=True, text=True, timeout=20, env={**os.environ, **(env or {})})
    took = time.monotonic() - started
    assert done.returncode == code, (args, done)
    assert done.stdout == "" and done.stderr.strip(), (args, done)
    if code == 1:
        assert done.stderr.strip().splitlines()[-1].startswith("xetd: "), done.stderr
    for word in words:
        assert str(word) in done.stderr, (args, word, done.stderr)
    assert took < seconds, (args, took)
    if os.environ.get("SHOW"):
        print(done.stderr.strip())


def starts(*args, env=None):
    """Starts and stops again."""
    process = subprocess.Popen([BIN / "xetd", *QUIET, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, process.stderr.read()
        return json.loads(line)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def addresses(where):
    fails("--data", where / "d", "--listen", "nonsense", words=("--listen", "nonsense"), code=2)
    for bad in ("127.0.0.1", "127.0.0.1:", ":0", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:1x", "localhost:0", "1.2.3:0", "[::1:0", "::1:x", "127.0.0.1:0,127.0.0.2:0"):
        fails("--data", where / "d", "--listen", bad, words=("--listen", bad), code=2)
    fails("--data", where / "d", "--listen", "192.0.2.1:0", words=("192.0.2.1",))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        fails("--data", where / "d", "--listen", address, words=(address, "in use"))
        write(where / "c.toml", f'[network]\nlisten = "{address}"\n'.encode())
        fails("--data", where / "d", "--config", where / "c.toml", words=(address, "in use"))
    # what did not start left nothing that is in the way
    ready = starts("--data", where / "d", "--listen", "127.0.0.1:0")
    assert starts("--data", where / "d", "--listen", "127.0.0.1:0")["port"] == ready["port"], "a port is kept"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ready["port"]))
        taken.listen()
        assert starts("--data", where / "d", "--listen", "127.0.0.1:0")["port"] != ready["port"]
    starts("--data", where / "v6", "--listen", "[::1]:0")


def data_directories(where, a):
    a.xet("status")
    fails("--data", a.data, "--listen", "127.0.0.1:0", words=(a.data, "another node"))
    a.xet("status")  # it was not disturbed: its socket is still there
    write(where / "file", b"")
    fails("--data", where / "file", "--listen", "127.0.0.1:0", words=(where / "file",))
    fails("--data", where / "file" / "below", "--listen", "127.0.0.1:0", words=(where / "file",))
    fails("--data", "/proc/x", "--listen", "127.0.0.1:0", words=("/proc/x",))
    fails("--data", "", "--listen", "127.0.0.1:0", code=2)
    # the data directory is nobody else's business
    assert stat.S_IMODE(os.stat(a.data).st_mode) == 0o700 and stat.S_IMODE(os.stat(a.data / "node.key").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(a.data / "control.sock").st_mode) == 0o600
    # damaged state
    starts("--data", where / "k", "--listen", "127.0.0.1:0")
    for damage in (b"", b"short", b"zz" * 32, b"\0" * 1000):
        os.chmod(where / "k" / "node.key", 0o600)
        (where / "k" / "node.key").write_bytes(damage)
        fails("--data", where / "k", "--listen", "127.0.0.1:0", words=(where / "k" / "node.key",))
    if is_root():
        # the test's own directory lets nobody in
        os.chmod(where, 0o755)
        fails("--data", where / "closed" / "x", "--listen", "127.0.0.1:0", prefix=AS_NOBODY, words=(where / "closed", "ermission denied"))
        write(where / "of root" / "x", b"")
        fails("--data", where / "of root", "--listen", "127.0.0.1:0", prefix=AS_NOBODY, words=(where / "of root", "ermission denied"))
        fails("--data", a.data, "--listen", "127.0.0.1:0", prefix=AS_NOBODY, words=(a.data, "ermission denied"))
        read_only = where / "read-only"
        read_only.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", read_only], check=True)
        try:
            fails("--data", read_only, "--listen", "127.0.0.1:0", words=(read_only, "ead-only"))
            fails("--data", read_only / "x", "--listen", "127.0.0.1:0", words=(read_only, "ead-only"))
        finally:
            subprocess.run(["umount", read_only], check=True)


def configurations(where):
    def broken(text, *words):
        write(where / "bad.toml", text)
        fails("--data", where / "d", "--listen", "127.0.0.1:0", "--config", where / "bad.toml", words=(where / "bad.toml", *words))

    broken(b"[network\n", "line 1")
    broken(b"\n\n= 5\n", "line 3")
    broken(b"[network]\nupload_limit = 5 = 6\n", "line 2")
    broken(b"[network]\nupload_limits = 5\n", "line 2", "upload_limits", "did you mean", "upload_limit")
    broken(b"[network]\nlistne = 'x'\n", "did you mean", "[network] listen")
    broken(b"[netwrok]\nenable_dht = true\n", "netwrok", "did you mean", "[network] enable_dht")
    broken(b"enable_dht = true\n", "enable_dht", "[network] enable_dht")
    broken(b"[network]\nenable_dht = 'yes'\n", "line 2", "enable_dht", "true or false")
    broken(b"[network]\nupload_limit = -1\n", "upload_limit", "whole number")
    broken(b"[network]\nupload_limit = 1.5\n", "upload_limit", "whole number")
    broken(b"[network]\nupload_limit = 99999999999\n", "upload_limit", "whole number")
    broken(b"[network]\nlisten = 6881\n", "listen", "a string")
    broken(b"[network.deeper]\nx = 1\n", "deeper")
    broken(b"[network]\nenable_dht = true\nenable_dht = true\n", "line 3")
    broken(b"\xff\xfe\x00", "line 1")
    broken(b"\0" * 100)
    broken(b"a" * 10_000_000)
    write(where / "listen.toml", b"[network]\nlisten = 'nonsense'\n")
    fails("--data", where / "d", "--config", where / "listen.toml", words=("nonsense",), code=1)
    for path in (where / "missing.toml", where, "/dev/zero", os.mkfifo(where / "fifo") or where / "fifo"):
        fails("--data", where / "d", "--listen", "127.0.0.1:0", "--config", path, words=(path,))
    # the same in the places that are looked at without --config
    (where / "d").mkdir(exist_ok=True)
    write(where / "d" / "ut_xet.toml", b"[network]\nupload_limits = 1\n")
    fails("--data", where / "d", "--listen", "127.0.0.1:0", words=(where / "d" / "ut_xet.toml", "upload_limit"))
    os.unlink(where / "d" / "ut_xet.toml")
    write(where / "xdg" / "ut_xet" / "ut_xet.toml", b"[network]\nupload_limits = 1\n")
    fails("--data", where / "d", "--listen", "127.0.0.1:0", env={"XDG_CONFIG_HOME": str(where / "xdg")}, words=(where / "xdg",))
    fails("--data", where / "d", "--listen", "127.0.0.1:0", env={"UT_XET_NETWORK_UPLOAD_LIMIT": "fast"}, words=("UT_XET_NETWORK_UPLOAD_LIMIT",))
    write(where / "good.toml", b"# nothing\n[network]\nlisten = '127.0.0.1:0'\nupload_limit = 1000\nenable_dht = false\n")
    starts("--data", where / "d", "--config", where / "good.toml")
    write(where / "empty.toml", b"")
    starts("--data", where / "d", "--listen", "127.0.0.1:0", "--config", where / "empty.toml")


def usage(where):
    for args in (["--no-such-flag"], ["--data"], ["--listen"], ["extra"], ["--config"]):
        fails(*args, code=2)
    for args in (["--help"],):
        done = subprocess.run([BIN / "xetd", *args], capture_output=True, text=True)
        assert done.returncode == 0 and "--data" in done.stdout, done
    fails("--data", where / "d", env={"UT_XET_DISABLE": "1"}, words=("UT_XET_DISABLE",))


def signals(where):
    """SIGINT and SIGTERM end it with 0, SIGHUP does not end it, and the control socket is gone afterwards."""
    process = subprocess.Popen([BIN / "xetd", *QUIET, "--data", where / "s", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        control = pathlib.Path(json.loads(process.stdout.readline())["control"])
        process.send_signal(signal.SIGHUP)
        assert subprocess.run([BIN / "xet", "--data", where / "s", "status"], capture_output=True).returncode == 0
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0 and not control.exists()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def main():
    with playground("a") as (where, a):
        addresses(where)
        data_directories(where, a)
        configurations(where)
        usage(where)
        signals(where)


main()
