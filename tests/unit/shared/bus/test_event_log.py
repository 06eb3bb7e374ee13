"""A follower of a session's events: whole and in order, whatever is lost on the channel, and how it ends."""

import asyncio
from typing import Any

import orjson
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.bus import event_log, keys
from shared.bus.event_log import QUEUE_MAX, Follower, parsed
from shared.bus.messages import ATTACHED, PROGRESS
from tests.unit.redis_in_memory import Clock, answered, log_range


class Log:
    """A session's event log, and a follower of it."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.reads: list[tuple[str, str]] = []
        self.faults = 0
        self.clock = Clock()

    def follower(self, after_seq: int = 0) -> Follower:
        return Follower(answered(self._answer), "s1", after_seq, self.clock)

    def write(self, count: int) -> list[bytes]:
        """So many more events, as they are published."""
        first = len(self.events) + 1
        written = [orjson.dumps({"type": "partial", "seq": seq}) for seq in range(first, first + count)]
        self.events += written
        return written

    def _answer(self, command: str, *words: str) -> Any:
        if self.faults:
            self.faults -= 1
            raise RedisConnectionError("gone")
        assert (command, words[0]) == ("XRANGE", keys.events("s1"))
        first, last = words[1:]
        self.reads.append((first, last))
        return log_range(self.events, first, last)


@pytest.fixture
def log() -> Log:
    return Log()


async def taken(follower: Follower, count: int) -> list[int]:
    source = aiter(follower)
    async with asyncio.timeout(10):
        return [(await anext(source)).wire["seq"] for _ in range(count)]


async def test_events_that_are_published_in_order_need_no_log(log: Log) -> None:
    follower = log.follower()
    for event in log.write(3):
        follower.push(event)
    assert await taken(follower, 3) == [1, 2, 3]
    assert (log.reads, follower.seq) == ([], 3)


async def test_gap_is_read_from_the_log(log: Log) -> None:
    follower = log.follower()
    first, *_, last = log.write(5)
    follower.push(first)
    follower.push(last)
    assert await taken(follower, 5) == [1, 2, 3, 4, 5]
    assert log.reads == [("(1-0", "(5-0")]


async def test_event_that_comes_twice_is_handed_out_once(log: Log) -> None:
    follower = log.follower()
    for event in [*log.write(2), *log.events, *log.write(1)]:
        follower.push(event)
    assert await taken(follower, 3) == [1, 2, 3]


async def test_follower_from_a_seq_on_reads_what_came_before_it(log: Log) -> None:
    log.write(4)
    follower = log.follower(after_seq=2)
    assert await taken(follower, 2) == [3, 4]


async def test_slow_follower_holds_few_events_and_misses_none(log: Log) -> None:
    follower = log.follower()
    count = QUEUE_MAX + 10
    for event in log.write(count):
        follower.push(event)
    assert await taken(follower, count) == list(range(1, count + 1))
    assert log.reads, "those that it did not hold"


async def test_lost_redis_is_waited_for(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "RECONNECT_PAUSE_S", 0.0)
    log.write(2)
    log.faults = 3
    follower = log.follower()
    follower.fill()
    assert await taken(follower, 2) == [1, 2]


async def test_first_reason_to_end_is_the_one_that_is_told(log: Log) -> None:
    follower = log.follower()
    follower.push(b'{"type":"partial","seq":1}')
    follower.end_with({"type": "error", "code": "unauthorized"})
    follower.end_with({"type": "error", "code": "session_resumed"})
    follower.push(b'{"type":"error","seq":2,"code":"session_expired"}')
    told = [event.wire async for event in follower]
    assert told == [{"type": "partial", "seq": 1}, {"type": "error", "code": "unauthorized", "seq": 2}]


async def test_newer_event_of_a_kind_replaces_the_one_that_waits(log: Log) -> None:
    follower = log.follower()
    for kind, number in (("received", 1), ("warning", 1), ("received", 2)):
        event = {"type": kind, "number": number}
        follower.tell(kind, parsed(orjson.dumps(event)))
    follower.end_with({"type": "error"})
    told = [(event.type, event.wire.get("number")) async for event in follower]
    assert told == [("received", 2), ("warning", 1), ("error", None)]


async def test_what_is_told_follows_the_events_that_arrived_before_it(log: Log) -> None:
    follower = log.follower()
    source = aiter(follower)
    aside = parsed(b'{"type":"received"}')
    follower.tell("warning", parsed(b'{"type":"warning"}'))
    assert (await anext(source)).type == "warning"
    follower.push(b'{"type":"partial","seq":1}')
    follower.tell("received", aside)
    assert [(await anext(source)).type for _ in range(2)] == ["partial", "received"]


async def test_progress_is_reported_to_whoever_wants_it(log: Log) -> None:
    follower = log.follower()
    reports: list[int] = []
    follower.on_progress = reports.append
    follower.push(f'{PROGRESS},"consumed":1600}}'.encode())
    follower.progress(800)
    assert reports == [1600, 1600]


async def test_progress_and_connections_are_no_events(log: Log) -> None:
    follower = log.follower()
    connections: list[int] = []
    follower.on_attached = connections.append
    for consumed in (1600, 800):
        follower.push(f'{PROGRESS},"consumed":{consumed}}}'.encode())
    follower.push(f'{ATTACHED},"connection":2}}'.encode())
    assert (follower.consumed_samples, connections) == (1600, [2])
    assert follower.progressed.is_set()
    follower.end_with({"type": "error"})
    assert [event.type async for event in follower] == ["error"]


def test_follower_is_quiet_when_nothing_comes_or_a_look_up_was_requested(log: Log) -> None:
    follower = log.follower()
    log.clock.pass_s(1.5)
    assert not follower.is_quiet(1.5)
    log.clock.pass_s(0.1)
    assert follower.is_quiet(1.5)
    follower.push(log.write(1)[0])
    assert not follower.is_quiet(1.5)
    follower.request_lookup()
    assert follower.is_quiet(1.5)
    follower.push(log.write(1)[0])
    assert not follower.is_quiet(1.5)
