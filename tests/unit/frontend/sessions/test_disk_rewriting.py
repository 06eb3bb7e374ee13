"""When Redis is asked to rewrite its file, by which frontend, and what it may have erased, on a clock and in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from structlog.testing import capture_logs

from frontend.sessions.disk_rewriting import COST, MISSED_ROUNDS, DiskWatch
from shared.tasks import end_all
from tests.unit.clock import clocked
from tests.unit.redis_in_memory import answered

RETENTION_S = 60.0
ROUND_S = 1.0
PAUSE_S = 12.0
"""Between two rewrites, if they take no time."""


class Server:
    """Redis whose file holds a session that must leave it."""

    def __init__(self) -> None:
        self.redis = answered(self)
        self.watcher = b""
        self.is_due = True
        self.failed = False
        self.took_s = 0
        self.rewrites_s: list[float] = []

    def __call__(self, command: str, *words: str) -> Any:
        match command:
            case "BGREWRITEAOF":
                self.rewrites_s.append(asyncio.get_running_loop().time())
            case "ZREM":
                self.is_due = False
            case "SET":
                is_free, self.watcher = not self.watcher, self.watcher or words[1].encode()
                return b"OK" if is_free else None
        due = [b"s1"] if self.is_due else []
        answers = {
            "GET": self.watcher,
            "TIME": [b"12", b"345678"],
            "ZRANGEBYSCORE": due,
            "INFO": self.info,
            "EXISTS": 0,
        }
        return answers.get(command, 1)

    @property
    def info(self) -> bytes:
        said: dict[str, object] = {"aof_enabled": 1, "aof_current_size": 1000, "aof_last_rewrite_time_sec": self.took_s}
        said |= {"aof_last_bgrewrite_status": "err" if self.failed else "ok"}
        return "".join(f"{name}:{value}\r\n" for name, value in said.items()).encode()


@asynccontextmanager
async def watching(server: Server) -> AsyncIterator[None]:
    loop = asyncio.create_task(DiskWatch(server.redis, RETENTION_S).run())
    try:
        yield
    finally:
        await end_all([loop])


@clocked
async def test_failed_rewrite_erases_nothing_and_is_repeated() -> None:
    server = Server()
    server.failed = True
    with capture_logs() as logs:
        async with watching(server):
            await asyncio.sleep(PAUSE_S)
            assert server.is_due
            assert [line["event"] for line in logs] == ["rewriting_failed"]
            server.failed = False
            await asyncio.sleep(PAUSE_S)
            assert not server.is_due
    assert len(server.rewrites_s) == 2


@clocked
async def test_rewrites_take_at_most_a_twentieth_of_the_time() -> None:
    server = Server()
    server.failed = True  # so that there is always a reason for the next
    async with watching(server):
        await asyncio.sleep(2 * PAUSE_S)
        server.took_s = 10
        await asyncio.sleep(4 * COST * server.took_s)
    pauses_s = [later - earlier for earlier, later in zip(server.rewrites_s, server.rewrites_s[1:], strict=False)]
    assert PAUSE_S <= pauses_s[0] <= PAUSE_S + 2 * ROUND_S
    assert len(pauses_s) >= 3
    assert all(COST * server.took_s <= pause_s <= COST * server.took_s + 2 * ROUND_S for pause_s in pauses_s[-2:])


@clocked
async def test_only_one_frontend_has_the_watch_until_it_misses_rounds() -> None:
    server = Server()
    server.watcher = b"another"
    async with watching(server):
        await asyncio.sleep(10 * MISSED_ROUNDS * ROUND_S)
        assert not server.rewrites_s
        server.watcher = b""  # its lease is over
        await asyncio.sleep(2 * ROUND_S)
        assert server.rewrites_s
        assert server.watcher not in (b"", b"another")
