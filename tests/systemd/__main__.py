"""`make systemd-check`: runs the units of `compose/systemd` by systemd itself, hardening included, in namespaces.

It needs root and systemd, and no network. It transcribes a file, kills a worker, drains one, and stops everything.
"""

import io
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.limits import limit_s

START_S: Final = 60.0
LOG: Final = "/var/log/voxtral/voxtral_streaming.log"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="voxtral-systemd-"))
    folder.chmod(0o755)
    apart = ("--pid", "--mount", "--uts", "--ipc", "--cgroup", "--net", "--fork", "--kill-child")
    command = ["unshare", *apart, sys.executable, "-m", "tests.systemd.inside", str(folder)]
    with (folder / "boot").open("wb") as output:
        machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _check(Machine(machine, folder))
    except BaseException:
        for name in ("boot", "output"):
            if (folder / name).exists():
                print((folder / name).read_text()[-3000:], file=sys.stderr)
        raise
    finally:
        machine.send_signal(signal.SIGKILL)
        machine.wait()
        shutil.rmtree(folder)


class Machine:
    """A running systemd in namespaces of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path) -> None:
        self._process = process
        self._folder = folder
        (folder / "speech.wav").write_bytes(_tone())

    def run(self, *command: str) -> str:
        """The output of a command in the namespaces."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        enter = ["nsenter", "--target", children[0], "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--net"]
        return subprocess.run([*enter, *command], capture_output=True, check=False, text=True).stdout

    def state(self, unit: str) -> dict[str, str]:
        names = ("ActiveState", "Result", "ExecMainStatus", "NRestarts", "MainPID")
        shown = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in shown.splitlines())

    def is_ready(self, slots_free: int) -> bool:
        answer = self.run("curl", "--silent", "http://127.0.0.1:8005/ready")
        return bool(answer) and json.loads(answer).get("slots_free") == slots_free

    def transcribes(self) -> bool:
        form = (f"file=@{self._folder}/speech.wav", "model=auto")
        options = [part for one in form for part in ("--form", one)]
        answer = self.run("curl", "--silent", *options, "http://127.0.0.1:8000/v1/audio/transcriptions")
        return "text" in json.loads(answer or "{}")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + limit_s(START_S)
        while not condition():
            assert self._process.poll() is None, "systemd has ended."
            assert time.monotonic() < deadline_s, f"Not in time: {what}."
            time.sleep(0.2)
        print(f"{what}: yes", flush=True)


def _check(machine: Machine) -> None:
    machine.until(lambda: machine.is_ready(8), "the service is ready")
    machine.until(machine.transcribes, "a file is transcribed")
    machine.run("systemctl", "kill", "--signal=KILL", "voxtral-worker@0")
    machine.until(lambda: machine.state("voxtral-worker@0")["NRestarts"] == "1", "a killed worker is started again")
    machine.run("systemctl", "start", "voxtral-worker@1")
    machine.until(lambda: machine.is_ready(16), "both workers serve")
    machine.run("systemctl", "stop", "voxtral-worker@0")
    state = machine.state("voxtral-worker@0")
    assert (state["ActiveState"], state["Result"], state["ExecMainStatus"]) == ("inactive", "success", "0"), state
    assert "worker_drained" in machine.run("cat", LOG)
    machine.until(lambda: machine.is_ready(8), "a stopped worker drains, and the other one serves")
    machine.run("sh", "-c", "echo VOXTRAL_MODEL__SLOTS=none >/etc/voxtral/worker-2")
    machine.run("systemctl", "start", "--no-block", "voxtral-worker@2")
    machine.until(lambda: machine.state("voxtral-worker@2")["ExecMainStatus"] == "78", "a bad setting stops a start")
    assert machine.state("voxtral-worker@2")["ActiveState"] == "failed"
    machine.run("systemctl", "stop", "voxtral.target")
    machine.until(lambda: not machine.run("pgrep", "--euid", "voxtral"), "everything stops with the target")
    failed = machine.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").splitlines()
    assert [line.split()[0] for line in failed] == ["voxtral-worker@2.service"], failed


def _tone() -> bytes:
    """Two seconds of a WAV file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\0\x10\0\xf0" * 16_000)
    return content.getvalue()


if __name__ == "__main__":
    main()
