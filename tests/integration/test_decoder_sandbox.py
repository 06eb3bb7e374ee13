"""What a decoder cannot do, tried in a process that is as a decoder is."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest

from shared.decoder.sandbox import Sandbox, probe
from tests.limits import limit_s
from tests.stack import PROJECT

SCRIPT = """
import ctypes, json, os, resource, signal, socket, subprocess, sys
from shared.decoder.sandbox import Sandbox, address_space_bytes, enter
parent, what, own = os.getppid(), sys.argv[1], os.open(os.devnull, os.O_RDWR)
def mapped():
    return len(bytearray(250 << 20))
def spin():
    while True: pass
tries = {
    "open": lambda: os.open("/etc/hostname", os.O_RDONLY),
    "create": lambda: os.open("/tmp/made-by-a-decoder", os.O_WRONLY | os.O_CREAT),
    "list": lambda: os.listdir("/"),
    "tcp": lambda: socket.create_connection(("127.0.0.1", 9)),
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "unix": lambda: socket.socketpair(),
    "fork": lambda: os.fork() or os._exit(0),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "signal": lambda: os.kill(parent, 0),
    "raise": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    "memory": mapped,
    "spin": spin,
    "write": lambda: os.write(1, b""),
    "work": lambda: sum(range(1000)),
}
enter(Sandbox(*json.loads(sys.argv[2])), address_space_bytes(), 1)
try:
    tries[what]()
    answer = "done"
except BaseException as error:
    answer = type(error).__name__
os.write(1, answer.encode())
os._exit(0)
"""


def attempt(what: str, sandbox: Sandbox) -> tuple[int, str]:
    """How a process ends that tries it, and what it says."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, what, json.dumps([sandbox.landlock, sandbox.seccomp])],
        env={"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=limit_s(30),
        check=False,
    )
    return done.returncode, done.stdout


KINDS = [Sandbox(0, False), probe()]


@pytest.mark.parametrize("sandbox", KINDS, ids=["bounds alone", "this kernel"])
@pytest.mark.parametrize("what", ["open", "create", "list", "tcp", "udp", "unix"])
def test_decoder_opens_nothing_and_makes_no_connection(what: str, sandbox: Sandbox) -> None:
    code, answer = attempt(what, sandbox)
    assert code == 0
    assert answer in ("OSError", "PermissionError")


@pytest.mark.skipif(not probe().seccomp, reason="this kernel has no seccomp")
@pytest.mark.parametrize("what", ["fork", "exec", "signal", "raise"])
def test_decoder_starts_and_touches_no_other_process(what: str) -> None:
    code, answer = attempt(what, probe())
    assert code == 0
    assert answer in ("PermissionError", "ValueError")  # as Python names it for limits


@pytest.mark.skipif(not probe().landlock, reason="this kernel has no Landlock")
def test_landlock_closes_files_by_itself() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert min(soft, hard) > 10
    code = (
        "import os; from shared.decoder import sandbox as s; s._LIBC.prctl(38, 1, 0, 0, 0);"
        f"s._restrict_files_and_network({probe().landlock}); os.open('/etc/hostname', os.O_RDONLY)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False
    )
    assert "PermissionError" in done.stderr


@pytest.mark.parametrize("sandbox", KINDS, ids=["bounds alone", "this kernel"])
def test_decoder_has_so_much_memory_and_time(sandbox: Sandbox) -> None:
    assert attempt("memory", sandbox) == (0, "MemoryError")
    assert attempt("spin", sandbox) == (-signal.SIGXCPU, "")
    assert attempt("write", sandbox) == attempt("work", sandbox) == (0, "done")
    assert not os.path.exists("/tmp/made-by-a-decoder")
