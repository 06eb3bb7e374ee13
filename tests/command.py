"""The command `voxtral` as users run it: on pipes, or on its own terminal."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.forking import captured, start
from tests.limits import limit_s
from tests.stack import Stack

VOXTRAL = str(Path(sys.executable).with_name("voxtral"))
RUN_TIMEOUT_S = 60.0


def run(stack: Stack, *arguments: str | Path, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `voxtral` in the stack's folder, with pipes for its three streams."""
    env = stack.env | variables
    done = captured(VOXTRAL, [*map(str, arguments)], folder=stack.folder, env=env, stdin=stdin, timeout_s=RUN_TIMEOUT_S)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def running(stack: Stack, *arguments: str | Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `voxtral` that keeps running, with pipes for its output; SIGINT reaches it even if the shell ignores it."""
    with subprocess.Popen(
        ["env", "--default-signal=INT", VOXTRAL, *map(str, arguments)],
        env=stack.env | variables,
        cwd=stack.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run_on_terminal(stack: Stack, *arguments: str | Path) -> tuple[int, str]:
    """Runs `voxtral` on its own terminal; its exit status, and the whole output on the terminal."""
    leader, follower = pty.openpty()
    env = stack.env | {"TERM": "xterm-256color", "COLUMNS": "100"}
    process = start(VOXTRAL, [*map(str, arguments)], folder=stack.folder, env=env, streams=[follower] * 3)
    os.close(follower)
    shown = b""
    deadline_s = time.monotonic() + limit_s(RUN_TIMEOUT_S)
    try:
        while time.monotonic() < deadline_s:
            if not select.select([leader], [], [], 1)[0]:
                continue
            try:
                shown += os.read(leader, 65536)
            except OSError:  # the other end is closed: the command has ended
                break
        return process.wait(limit_s(10)), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def counted_s(text: str) -> float:
    """Seconds of audio that the echo engine reports."""
    return sum(float(number) for number in re.findall(r"([\d.]+) seconds", text))
