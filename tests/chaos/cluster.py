"""A whole service with several processes of each kind, for fault injection: two frontends, three workers, and one
Redis, a group of Redis servers with Sentinels, or a Redis Cluster."""

import asyncio
import itertools
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from redis.asyncio import Redis

from shared.bus.connect import connect
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import Registry
from shared.bus.sharded import shards_of
from tests.chaos.clocks import Clocks
from tests.clusters import RedisShards
from tests.limits import limit_s
from tests.sentinels import RedisGroup
from tests.stack import Stack, free_ports, listens, wait_until
from tests.tiny.checkpoint import DIRECTORY
from worker.engines.registry import REALTIME

RedisKind: TypeAlias = Literal["single", "sentinel", "cluster"]
WORKERS: Final = 3
SLOTS: Final = 8
START_TIMEOUT_S: Final = 60.0


class Cluster:
    """Every process has a label; a process that replaces a dead one gets a new label."""

    def __init__(
        self, folder: Path, retention_s: int = 20, *, steps_clocks: bool = True, kind: RedisKind = "single"
    ) -> None:
        model = {"name": REALTIME, "path": str(DIRECTORY), "device": "cpu", "threads": 1, "slots": SLOTS}
        self.group = RedisGroup(folder) if kind == "sentinel" else None
        self.shards = RedisShards(folder) if kind == "cluster" else None
        redis: dict[str, Any] = {}
        if self.group is not None:
            redis = {"url": self.group.url, "confirm_replicas": 1}
        elif self.shards is not None:
            (folder / "queues").mkdir()
            self.queues = Stack(folder / "queues")
            redis = {"url": self.shards.url, "broker_url": self.queues.redis_url, "confirm_replicas": 1}
        self.stack = Stack(
            folder, model=model, session={"retention_s": retention_s, "claim_timeout_s": 20}, redis=redis
        )
        self.clocks = Clocks(folder / "clocks")
        self._steps_clocks = steps_clocks
        self._numbers = itertools.count()
        self.frontend_ports = {"websocket-a": self.stack.settings.websocket_port, "websocket-b": free_ports(1)[0]}
        self.workers: list[str] = []

    def start(self) -> None:
        if self.group is not None:
            self.group.start()
        elif self.shards is not None:
            self.shards.start()
            _start_redis(self.queues)
        else:
            self.start_redis()
        for label in self.frontend_ports:
            self.start_frontend(label)
        for _ in range(WORKERS):
            self.start_worker()

    def stop(self) -> None:
        self.resume_all()
        self.stack.stop_all()
        if self.group is not None:
            self.group.stop()
        if self.shards is not None:
            self.shards.stop()
            self.queues.stop_all()

    def start_redis(self) -> None:
        _start_redis(self.stack)

    def start_frontend(self, label: str) -> None:
        ports = json.dumps([self.frontend_ports[label], self.stack.settings.tcp_port])
        self.stack.spawn("websocket", label, VOXTRAL_SERVER__TCP_PORTS=ports, **self._variables(label))

    def start_worker(self) -> str:
        label = f"worker-{next(self._numbers)}"
        self.stack.spawn("worker", label, **self._variables(label))
        self.workers.append(label)
        return label

    def _variables(self, label: str) -> dict[str, str]:
        return self.clocks.variables(label) if self._steps_clocks else {}

    def kill(self, label: str) -> None:
        """Kill a process."""
        self.stack.stop(label, signal.SIGKILL)
        self._forget(label)

    def hang(self, label: str) -> None:
        self.stack.processes[label].send_signal(signal.SIGSTOP)

    def resume(self, label: str) -> None:
        self.stack.processes[label].send_signal(signal.SIGCONT)

    def resume_all(self) -> None:
        for process in self.stack.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)

    async def drain(self, label: str, timeout_s: float = 40.0) -> int:
        """Ask a worker to stop; its exit status."""
        self.stack.processes[label].send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(self.stack.wait, label, timeout_s)
        self._forget(label)
        return status

    def _forget(self, label: str) -> None:
        if label in self.workers:
            self.workers.remove(label)

    async def until_warm(self, count: int = WORKERS) -> None:
        """Wait until so many workers are announced."""
        redis = connect(self.stack.settings)
        try:
            registry = Registry(redis, Scripts(redis))

            async def warm() -> bool:
                return len([one for one in await registry.workers() if not one.draining]) >= count

            await until(warm, "workers are warm", START_TIMEOUT_S, self.stack.check_alive)
        finally:
            await redis.aclose()


def _start_redis(stack: Stack) -> None:
    stack.spawn("redis")
    wait_until(lambda: listens(stack.settings.redis.port), "Redis listens", check=stack.check_alive)


async def until(
    condition: Callable[[], object], what: str, timeout_s: float, check: Callable[[], None] = lambda: None
) -> None:
    """Wait on an asynchronous condition; the failure names it."""
    try:
        async with asyncio.timeout(limit_s(timeout_s)):
            while not await condition():  # type: ignore[misc]
                check()
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"Not within {timeout_s:g} s: {what}.") from None


async def leftovers(redis: Redis) -> list[str]:
    """Keys of sessions, and tasks that no worker has taken."""
    found = []
    for shard in shards_of(redis):
        for pattern in ("voxtral:{????????????????}*", "*voxtral:admitted:*", "stream:*"):
            found += [key.decode() async for key in shard.scan_iter(pattern)]
    return found
