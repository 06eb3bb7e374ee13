"""Ctrl-C ends `voxtral` at any moment without a traceback: while it imports its libraries, and while it works."""

import os
import signal
import subprocess
import sys

import pytest

from tests.command import VOXTRAL
from tests.limits import limit_s
from tests.stack import Stack, free_ports

INTERRUPTED_AT = """
import importlib.abc, os, signal, sys

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.{handler})
sys.meta_path.insert(0, Interrupt())
sys.argv = ["voxtral", *{arguments!r}]
"""
"""Sends the signal when a module is imported."""
COMMAND = "from frontend.cli.start import main; main()"
LAUNCHER = "import runpy; runpy.run_module('compose.launch', run_name='__main__')"


def interrupted(
    stack: Stack, module: str, program: str, *arguments: str, handler: str = "default_int_handler"
) -> subprocess.CompletedProcess[str]:
    """Runs a program, which Python starts with the default handler, and interrupts it at an import."""
    code = INTERRUPTED_AT.format(module=module, arguments=arguments, handler=handler) + program
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=stack.env, cwd=stack.folder, capture_output=True, text=True, check=False)


def test_interrupt_while_the_launcher_is_imported_prints_nothing(stack: Stack) -> None:
    done = interrupted(stack, "compose.supervisor", LAUNCHER)

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("module", ["click", "frontend.cli.main", "structlog", "frontend.cli.transcribe", "rich.live"])
def test_interrupt_during_an_import_prints_nothing(stack: Stack, module: str) -> None:
    done = interrupted(stack, module, COMMAND, "transcribe", "missing.wav")

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_interrupt_while_a_pipe_is_awaited_prints_nothing(stack: Stack) -> None:
    reading, writing = os.pipe()
    with subprocess.Popen(
        ["env", "--default-signal=INT", VOXTRAL, "transcribe", "-", "--encoding", "pcm_s16le"],
        env=stack.env,
        cwd=stack.folder,
        stdin=reading,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(reading)
        earlier = stack.received_s()
        os.write(writing, bytes(32_000))
        stack.receives(0.3, earlier)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=limit_s(10))
    os.close(writing)

    assert (process.returncode, output, errors) == (130, b"", b"")


def test_interrupt_that_the_caller_ignores_is_ignored(stack: Stack) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    done = interrupted(stack, "frontend.cli.status", COMMAND, "status", "--url", url, handler="SIG_IGN")

    assert done.returncode == 3
