"""A launcher under test: its own folder, Procfile, ports and small programs, and a look at its processes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.forking import start
from tests.stack import PROJECT, Process, Stack, wait_until

MAKE_RUN = [
    *("make", "--file", str(PROJECT / "Makefile"), "--old-file", ".venv/installed-base", "run"),
    f"BIN={Path(sys.executable).parent}",
]
"""`make run` of an installed project, in any folder."""
PROGRAMS = {
    "listen.py": """
        import contextlib, socket, sys

        with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
            while True:
                with server.accept()[0] as client, contextlib.suppress(OSError):
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
        """,
    "refuse.py": """
        import pathlib, sys, time
        from shared.entry import run_process
        from shared.errors import StartupError

        def main(settings):
            if pathlib.Path(sys.argv[1]).exists():
                raise StartupError("Setting model.name is 'gpt'; allowed: auto.")
            print("serving", flush=True)
            time.sleep(600)

        sys.exit(run_process(main, "worker"))
        """,
    "stubborn.py": """
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if len(sys.argv) == 1:
            subprocess.Popen([sys.executable, os.path.abspath(__file__), "grandchild"])
        print("will not stop", flush=True)
        time.sleep(600)
        """,
    "talk.py": """
        import sys, time
        for _ in range(300):
            for _ in range(4):
                print(sys.argv[1] * 50, end="", flush=True)
            print(flush=True)
        time.sleep(600)
        """,
}


class Launcher:
    """Runs `compose.launch` in `folder`. Give it lines of a Procfile; four listeners make the service ready."""

    def __init__(self, folder: Path) -> None:
        self.stack = Stack(folder)
        self.folder = folder
        self.process: Process | None = None
        for name, text in PROGRAMS.items():
            (folder / name).write_text(re.sub(r"(?m)^ {8}", "", text))
        settings = self.stack.settings
        self.listeners = {
            "health": settings.server.health_port,
            "web": settings.server.http_port,
            "websocket": settings.websocket_port,
            "tcp": settings.tcp_port,
        }

    def start(
        self, *lines: str, listeners: bool = True, workers: int = 1, through_make: bool = False, **variables: str
    ) -> None:
        if listeners:
            lines = (*lines, *(f"{name}: python listen.py {port}" for name, port in self.listeners.items()))
        (self.folder / "Procfile").write_text("\n".join(lines))
        env = self.stack.env | variables
        with (
            Path(os.devnull).open("rb") as nothing,
            (self.folder / "out").open("wb") as out,
            (self.folder / "err").open("wb") as err,
        ):
            if through_make:
                self.process = subprocess.Popen(
                    MAKE_RUN, cwd=self.folder, env=env, stdin=nothing, stdout=out, stderr=err, start_new_session=True
                )
            else:
                streams = [nothing.fileno(), out.fileno(), err.fileno()]
                arguments = ["--workers", str(workers)]
                self.process = start("compose.launch", arguments, folder=self.folder, env=env, streams=streams)

    def wait_until_ready(self) -> None:
        wait_until(lambda: "Ready after" in self.out, "the launcher says that it is ready", 30, self.check_alive)

    def end(self, timeout_s: float = 10.0) -> int:
        """The exit status, once the launcher has ended."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def signal_group(self, number: int) -> None:
        """Signal the launcher and its process group, as the terminal does."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def children(self, parent: int | None = None) -> dict[int, str]:
        """Command lines of the launcher's processes, or of another's, by process id."""
        assert self.process is not None
        parent = parent or self.process.pid
        return {pid: command_line(pid) for pid in alive() if _parent(pid) == parent}

    def pid_of(self, word: str) -> int:
        """The one process whose command line ends with this word, or 0."""
        return next((pid for pid, command in self.children().items() if command.endswith(word)), 0)

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text(errors="replace")

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text(errors="replace")

    def check_alive(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the launcher ended with {self.process.returncode}:\n{self.err[-3000:]}")


@contextmanager
def launcher_in(folder: Path) -> Iterator[Launcher]:
    launcher = Launcher(folder)
    try:
        yield launcher
    finally:
        if launcher.process is not None:
            left = list(launcher.children())
            launcher.process.kill()
            launcher.process.wait()
            for pid in filter(is_alive, left):
                os.kill(pid, signal.SIGKILL)


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def alive() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and is_alive(int(path.name))]


def is_alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not."""
    return _stat(pid)[:1] not in ([], ["Z"])


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int) -> list[str]:
    """State, parent and so on; empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
