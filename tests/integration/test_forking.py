"""A forked process is as one that was started: its arguments, folder, environment, streams, signals and status."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forking import captured, start

SCRIPT = """
import json, os, signal, sys, warnings
print(json.dumps({
    "arguments": sys.argv[1:], "folder": os.getcwd(), "variables": dict(os.environ), "stdin": sys.stdin.read(),
    "name": __name__, "interruptible": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "leads": os.getsid(0) == os.getpid(), "filters": [one[0] for one in warnings.filters],
    "neighbour": __import__("neighbour").HERE,
}))
print("told", file=sys.stderr)
sys.exit(3)
"""


def test_forked_process_is_as_one_that_was_started(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "neighbour.py").write_text("HERE = True")
    env = {"ONLY": "this", "PYTHONPATH": str(tmp_path / "there"), "PYTHONWARNINGS": "default"}
    script = str(tmp_path / "script.py")
    done = captured(script, ["a", "b c"], folder=tmp_path, env=env, stdin=b"asked")
    started = subprocess.run(
        [sys.executable, script, "a", "b c"],
        cwd=tmp_path,
        env=env,
        input=b"asked",
        capture_output=True,
        check=False,
        start_new_session=True,
    )
    forked, real = json.loads(done.stdout), json.loads(started.stdout)
    for seen in (forked["variables"], real["variables"]):
        seen.pop("LC_CTYPE", None)  # as the interpreter coerces it
    assert set(forked.pop("filters")) == {"default"}
    assert "default" in real.pop("filters")
    assert forked == real
    assert (done.returncode, done.stderr) == (started.returncode, started.stderr) == (3, b"told\n")


def test_process_that_a_signal_ends_has_its_number(tmp_path: Path) -> None:
    (tmp_path / "wait.py").write_text("import time\ntime.sleep(600)")
    with Path(os.devnull).open("r+b") as nothing:
        process = start(str(tmp_path / "wait.py"), folder=tmp_path, env={}, streams=[nothing.fileno()] * 3)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    process.kill()
    assert process.poll() == -signal.SIGTERM


ENDING = """
import atexit, socket, sys, threading
class Open:
    def __init__(self):
        self.itself, self.socket = self, socket.socket()
def main():
    Open()
    threading.Timer(0.1, print, ["the thread has ended"]).start()
    print("no line end", end="")
atexit.register(print, "at exit")
main()
sys.exit(ENDED)
"""


@pytest.mark.parametrize("ended", ["3", "None", "'a sentence'"])
def test_forked_process_ends_as_one_that_was_started(tmp_path: Path, ended: str) -> None:
    """It waits for its threads, calls what `atexit` has, writes what it has printed, and tells what was left open."""
    script = tmp_path / "script.py"
    script.write_text(ENDING.replace("ENDED", ended))
    env = {"PYTHONWARNINGS": "default"}
    done = captured(str(script), folder=tmp_path, env=env)
    command = [sys.executable, script]
    started = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False, start_new_session=True)
    assert (done.returncode, done.stdout) == (started.returncode, started.stdout)
    assert (b"a sentence" in done.stderr) == (b"a sentence" in started.stderr)
    assert b"ResourceWarning: unclosed <socket" in done.stderr
    assert b"ResourceWarning: unclosed <socket" in started.stderr
