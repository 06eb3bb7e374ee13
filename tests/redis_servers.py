"""Several Redis servers for tests, with what happens to each: it starts, dies, hangs and wakes."""

import os
import signal
import subprocess
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from shared.bus.server_binary import server_binary
from shared.config.sections import RedisSettings
from tests.limits import limit_s
from tests.stack import wait_until


class RedisServers:
    """Processes by their ports, in a folder of their own."""

    def __init__(self, folder: Path, password: str) -> None:
        self._folder = folder
        self._binary = server_binary(RedisSettings(binary=os.environ.get("VOXTRAL_REDIS__BINARY")))
        self._password = password
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def password_of(self, port: int) -> str:
        return self._password

    def client(self, port: int) -> Redis:
        password, once, timeout_s = self.password_of(port) or None, Retry(NoBackoff(), 0), limit_s(2)
        return Redis(port=port, password=password, socket_timeout=timeout_s, retry=once, decode_responses=True)

    def kill(self, port: int) -> None:
        process = self.processes.pop(port)
        process.kill()
        process.wait()

    def hang(self, port: int) -> None:
        self.processes[port].send_signal(signal.SIGSTOP)

    def resume(self, port: int) -> None:
        if port in self.processes:
            self.processes[port].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()

    def _serve(self, port: int, *more: object) -> None:
        """Start a server with further options, and wait until it answers."""
        options: list[object] = ["--port", port, "--bind", "127.0.0.1", "--dir", self._folder, "--save", ""]
        options += ["--appendonly", "no", "--loglevel", "warning", "--dbfilename", f"{port}.rdb"]
        options += ["--repl-diskless-sync-delay", 0]
        if self._password:
            options += ["--requirepass", self._password, "--masterauth", self._password]
        self._spawn(port, *options, *more)
        wait_until(lambda: self._answers(port), f"Redis at {port} answers", 20)

    def _spawn(self, port: int, *arguments: object) -> None:
        command = [str(self._binary), *map(str, arguments)]
        with (self._folder / f"redis-{port}.out").open("ab") as output:
            self.processes[port] = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)

    def _answers(self, port: int) -> bool:
        assert self.processes[port].poll() is None, (self._folder / f"redis-{port}.out").read_text()[-2000:]
        try:
            with self.client(port) as client:
                return bool(client.ping())
        except (RedisError, OSError):
            return False
