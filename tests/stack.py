"""A real service for tests: every process of the Procfile, on free ports, with its own Redis and its own folder."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from redis import Redis, ResponseError

from shared.bus import keys
from shared.config.settings import Settings
from shared.events import SAMPLE_RATE_HZ
from tests.forking import PROJECT, Forked, start
from tests.limits import limit_s

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
COMMANDS = {
    "redis": "compose.redis",
    "worker": "worker",
    "websocket": "frontend.websocket",
    "tcp": "frontend.tcp",
    "web": "frontend.web",
    "health": "frontend.health",
    "webhooks": "worker.webhooks",
}


Process = Forked | subprocess.Popen[bytes]


class Stack:
    """Starts and stops processes by the names of the Procfile. `folder` holds their settings, logs and data."""

    def __init__(self, folder: Path, **overrides: dict[str, Any]) -> None:
        self.folder = folder
        ports = free_ports(7)
        written: dict[str, dict[str, Any]] = {
            "server": {"http_port": ports[0], "health_port": ports[1], "tcp_ports": ports[2:4]},
            "model": {"name": "echo", "slots": 32},
            "redis": {"port": ports[4], "data_dir": str(folder / "redis")},
            "flower": {"port": ports[5]},
            "wyoming": {"port": ports[6]},
            "logs": {"dir": str(folder / "logs")},
        }
        for section, values in overrides.items():
            written.setdefault(section, {}).update(values)
        if "VOXTRAL_REDIS__BINARY" in os.environ:
            written["redis"]["binary"] = os.environ["VOXTRAL_REDIS__BINARY"]
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(written))
        self.settings = Settings(**written)
        self.processes: dict[str, Process] = {}

    @property
    def ws_url(self) -> str:
        return f"ws{self._s}://127.0.0.1:{self.settings.websocket_port}"

    @property
    def tcp_address(self) -> tuple[str, int]:
        return "127.0.0.1", self.settings.tcp_port

    @property
    def web_url(self) -> str:
        return f"http{self._s}://127.0.0.1:{self.settings.server.http_port}"

    @property
    def health_url(self) -> str:
        return f"http{self._s}://127.0.0.1:{self.settings.server.health_port}"

    @property
    def _s(self) -> str:
        return "s" if self.settings.server.tls_certificate else ""

    @property
    def redis_url(self) -> str:
        return self.settings.redis_url

    @property
    def env(self) -> dict[str, str]:
        """The environment in which the project's commands use this service."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VOXTRAL_", "REDIS_"))}
        return kept | {"VOXTRAL_CONFIG": str(self.config), "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "default"}

    def start(self, *names: str) -> None:
        """Start processes (all of them if none is named) and wait until the service is ready."""
        for name in names or self._programs:
            self.spawn(name)
            if name == "redis":
                wait_until(lambda: listens(self.settings.redis.port), "Redis listens")
        wait_until(self.is_ready, "the service is ready", START_TIMEOUT_S, self.check_alive, pause_s=0.1)
        for port in (*self.settings.server.tcp_ports, self.settings.server.http_port):
            wait_until(lambda port=port: listens(port), f"port {port} listens", START_TIMEOUT_S, self.check_alive)

    @property
    def _programs(self) -> list[str]:
        """Those that `make run` starts."""
        return [name for name in COMMANDS if name != "webhooks" or self.settings.webhooks.enabled]

    def spawn(self, name: str, label: str | None = None, **variables: str) -> Process:
        """Start one process; `label` distinguishes several of one name, `variables` are added to its environment."""
        label = label or name
        env = self.env | variables
        with (self.folder / f"{label}.out").open("ab") as output, Path(os.devnull).open("rb") as nothing:
            streams = [nothing.fileno(), output.fileno(), output.fileno()]
            if "PYTHONPATH" in variables:  # something must change before any library is imported
                process: Process = _unforked(COMMANDS[name], self.folder, env, streams)
            else:
                has_models = name == "worker" and self._has_voxtral(variables)
                process = start(COMMANDS[name], folder=self.folder, env=env, streams=streams, has_models=has_models)
        self.processes[label] = process
        return process

    def _has_voxtral(self, variables: Mapping[str, str]) -> bool:
        return "voxtral" in variables.get("VOXTRAL_MODEL__NAME", self.settings.model.name).lower()

    def stop(self, label: str, signal_number: int = signal.SIGTERM) -> int:
        """Stop one process and return its exit status."""
        self.processes[label].send_signal(signal_number)
        return self.wait(label)

    def wait(self, label: str, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit status of a process that is stopping. If it does not end, it is stopped later with the rest."""
        status = self.processes[label].wait(limit_s(timeout_s))
        del self.processes[label]
        return status

    def stop_all(self) -> None:
        """Stop like Ctrl-C: no worker drains."""
        for process in self.processes.values():
            process.send_signal(signal.SIGINT)
        for process in self.processes.values():
            try:
                process.wait(limit_s(STOP_TIMEOUT_S))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def is_ready(self) -> bool:
        return http_status(f"{self.health_url}/ready") == 200

    def status(self) -> dict[str, Any]:
        """The answer of `/status`."""
        with urllib.request.urlopen(f"{self.health_url}/status", timeout=limit_s(5)) as answer:
            status: dict[str, Any] = json.load(answer)
            return status

    def report(self) -> dict[str, Any]:
        """The part of `status` about the only worker. A busy machine may delay heartbeats for longer than they count;
        then it waits for the next one."""
        found: list[dict[str, Any]] = []

        def is_reported() -> bool:
            found[:] = self.status()["workers"]
            return bool(found)

        wait_until(is_reported, "a worker is reported", check=self.check_alive, pause_s=0.1)
        [worker] = found
        return worker

    def slots_held(self) -> set[str]:
        """The slots that sessions have now: those of one channel by the id of their session. Unlike `status`, it is not
        of a heartbeat up to a second ago."""
        with Redis.from_url(self.redis_url) as redis:
            held: list[bytes] = redis.zrange(keys.admitted(self.settings.model.name), 0, -1)
        return {slot.decode() for slot in held}

    def received_s(self) -> dict[str, float]:
        """How much audio of each running session has arrived in Redis, by id of the session."""
        received_s = {}
        with Redis.from_url(self.redis_url) as redis:
            for name in redis.scan_iter(match=keys.audio("*"), count=1000):
                with suppress(ResponseError):  # the session has ended since
                    last_id = redis.xinfo_stream(name)["last-generated-id"]
                    received_s[keys.session_of(name)] = int(last_id.split(b"-")[0]) / SAMPLE_RATE_HZ
        return received_s

    def receives(self, seconds: float, earlier: Collection[str], sessions: int = 1) -> None:
        """Wait until so much audio has arrived of each of so many sessions that are none of the `earlier` ones."""

        def has_arrived() -> bool:
            received_s = self.received_s()
            return sum(received_s[name] >= seconds for name in received_s.keys() - set(earlier)) >= sessions

        wait_until(has_arrived, f"{seconds} s of {sessions} new sessions arrive", pause_s=0.05)

    def output(self, label: str) -> str:
        """The output of a process."""
        return (self.folder / f"{label}.out").read_text(errors="replace")

    def log_text(self) -> str:
        """The whole lines of the log: a process may be in the middle of writing the last one."""
        path = self.folder / "logs" / "voxtral_streaming.log"
        text = path.read_text() if path.exists() else ""
        return text[: text.rfind("\n") + 1]

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The fields of its lines (of those of one event)."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in self.log_text().splitlines()]
        return [line for line in lines if event is None or line["event"] == event]

    def check_alive(self, *labels: str) -> None:
        """Fail if a process has ended (any, if none is named), with its last output."""
        for label in labels or self.processes:
            status = self.processes[label].poll()
            if status is not None:
                raise AssertionError(f"{label} ended with {status}:\n{self.output(label)[-3000:]}")


@contextmanager
def serving(stack: Stack) -> Iterator[Stack]:
    """All processes of the service, until the end of the block."""
    try:
        stack.start()
        yield stack
    finally:
        stack.stop_all()


def wait_until(
    condition: Callable[[], bool],
    what: str,
    timeout_s: float = 10.0,
    check: Callable[[], None] = lambda: None,
    pause_s: float = 0.02,
) -> None:
    """Wait on a condition of another process; the failure names it."""
    started_s = time.monotonic()
    while not condition():
        check()
        if time.monotonic() - started_s > limit_s(timeout_s):
            raise AssertionError(f"Not within {time.monotonic() - started_s:.0f} s: {what}.")
        time.sleep(pause_s)


def _unforked(module: str, folder: Path, env: Mapping[str, str], streams: Sequence[int]) -> subprocess.Popen[bytes]:
    stdin, stdout, stderr = streams
    command = [sys.executable, "-m", module]
    return subprocess.Popen(
        command, cwd=folder, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )


def free_ports(count: int) -> list[int]:
    """Different ports on which nothing listens now."""
    sockets = [socket.socket() for _ in range(count)]
    for held in sockets:
        held.bind(("127.0.0.1", 0))
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def http_status(url: str) -> int | None:
    """The status of a GET, or None if nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=limit_s(2), context=ssl._create_unverified_context()) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return None
