"""What is due to be erased from Redis' append-only file, and how Redis is asked to rewrite it, on answers in memory."""

from typing import Any

import pytest
from redis.exceptions import ResponseError

from shared.bus import keys
from shared.bus.append_only import (
    PAGE,
    AppendOnlyFile,
    Due,
    RewriteForbiddenError,
    find_due,
    has_due,
    now_ms,
    rewrite_once,
    settle,
    start_rewriting,
)
from tests.unit.redis_in_memory import answered


class Server:
    """Redis with an append-only file. `busy_for` is how often it reports that it is still rewriting it."""

    def __init__(self) -> None:
        self.noted: list[bytes] = []
        self.alive: set[str] = set()
        self.commands: list[tuple[str, ...]] = []
        self.fault: str | None = None
        self.size_bytes = 1000
        self.busy_for = 0
        self.redis = answered(self)

    def __call__(self, command: str, *words: str) -> Any:
        self.commands.append((command, *words))
        match command:
            case "TIME":
                return [b"12", b"345678"]
            case "ZRANGEBYSCORE":
                return self.noted[:1] if "LIMIT" in words else self.noted
            case "EXISTS":
                return int(bool(self.alive & set(words)))
            case "INFO" | "BGREWRITEAOF" if self.fault is not None:
                raise ResponseError(self.fault)
            case "INFO":
                self.busy_for -= 1
                busy = int(self.busy_for >= 0 and ("BGREWRITEAOF",) in self.commands)
                said = {"aof_enabled": 1, "aof_current_size": self.size_bytes, "aof_rewrite_in_progress": busy}
                return "".join(f"{name}:{value}\r\n" for name, value in said.items()).encode()
            case "BGREWRITEAOF":
                return b"OK"
        return 1

    def sent(self, command: str) -> list[tuple[str, ...]]:
        return [words for name, *words in self.commands if name == command]  # type: ignore[misc]


@pytest.fixture
def server() -> Server:
    return Server()


async def test_time_is_that_of_redis(server: Server) -> None:
    assert await now_ms(server.redis) == 12_345


async def test_sessions_whose_keys_are_left_are_live(server: Server) -> None:
    assert not await has_due(server.redis, 7)
    server.noted = [b"s%d" % number for number in range(PAGE + 2)]
    server.alive = {keys.finals("s1"), keys.client_secret(f"s{PAGE + 1}")}
    due = await find_due(server.redis, 7)
    assert due.live == [b"s1", b"s%d" % (PAGE + 1)]
    assert len(due.gone) == PAGE
    assert await has_due(server.redis, 7)


async def test_only_what_is_live_is_due_again(server: Server) -> None:
    await settle(server.redis, Due(1000, [b"gone"], [b"live"]), again_after_ms=500)
    assert server.sent("ZREM") == [[keys.UNERASED, "gone"]]
    assert server.sent("ZADD") == [[keys.UNERASED, "XX", "GT", "1500", "live"]]


async def test_redis_may_be_unable_to_rewrite_now_or_forbid_it(server: Server) -> None:
    assert await start_rewriting(server.redis)
    server.fault = "Background append only file rewriting already in progress"
    assert not await start_rewriting(server.redis)
    server.fault = "unknown command 'BGREWRITEAOF'"
    with pytest.raises(RewriteForbiddenError, match="unknown command"):
        await start_rewriting(server.redis)
    with pytest.raises(RewriteForbiddenError, match="unknown command"):
        await AppendOnlyFile.read(server.redis)


async def test_rewriting_once_waits_for_its_end(server: Server) -> None:
    server.busy_for = 4
    await rewrite_once(server.redis)
    assert len(server.sent("BGREWRITEAOF")) == 1
    assert server.busy_for < 0


async def test_empty_file_is_not_rewritten(server: Server) -> None:
    server.size_bytes = 0
    await rewrite_once(server.redis)
    assert server.sent("BGREWRITEAOF") == []
