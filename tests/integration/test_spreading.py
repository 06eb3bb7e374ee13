"""How sessions spread over workers, and that nothing of them and of their tasks stays in Redis."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from frontend.sessions.session import Session
from shared.bus import keys
from shared.celery_config import QUEUES, queue_name
from shared.session_options import SessionOptions
from tests.integration.workers import SECOND, Fleet, admitted_are, events_of, redis_alone, until
from tests.stack import Stack

SLOTS = 4


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    limits = {"claim_timeout_s": 3, "retention_s": 1, "drain_timeout_s": 1}
    with redis_alone(tmp_path_factory.mktemp("spreading"), model={"slots": SLOTS}, session=limits) as stack:
        yield stack


async def started(fleet: Fleet, *labels: str) -> None:
    before = (await fleet.gateway.status())["slots"]
    for label in labels:
        await fleet.start(label)
    await until(lambda: slots_are(fleet, before + SLOTS * len(labels)))


async def slots_are(fleet: Fleet, slots: int) -> bool:
    return (await fleet.gateway.status())["slots"] == slots


async def owners(fleet: Fleet, sessions: list[Session]) -> dict[str | None, int]:
    found = [await fleet.owner(session) for session in sessions]
    return {owner: found.count(owner) for owner in found}


@pytest.mark.parametrize("at_once", [True, False])
async def test_sessions_spread_evenly(fleet: Fleet, at_once: bool) -> None:
    await started(fleet, "a", "b", "c")
    opening = [fleet.gateway.open(SessionOptions()) for _ in range(6)]
    sessions = await asyncio.gather(*opening) if at_once else [await one for one in opening]
    found = await owners(fleet, list(sessions))
    assert found.keys() == {"a", "b", "c"}
    assert all(1 <= count <= 3 for count in found.values()), found
    for session in sessions:
        await session.cancel()


async def test_new_worker_takes_its_share_at_once(fleet: Fleet) -> None:
    await started(fleet, "a", "b")
    sessions = [await fleet.gateway.open(SessionOptions()) for _ in range(6)]
    await started(fleet, "c")
    later = [await fleet.gateway.open(SessionOptions()) for _ in range(3)]
    assert await owners(fleet, later) == {"c": 3}
    for session in (*sessions, *later):
        await session.cancel()


async def test_full_worker_and_hung_worker_keep_no_session_waiting(fleet: Fleet) -> None:
    await started(fleet, "a", "b")
    fleet.signal("a", signal.SIGSTOP)  # it has more free slots than `b`, in its last words
    sessions = [await fleet.gateway.open(SessionOptions()) for _ in range(SLOTS)]
    assert await owners(fleet, sessions) == {"b": SLOTS}
    fleet.signal("a", signal.SIGCONT)
    for session in sessions:
        await session.cancel()


@pytest.mark.redis_server
async def test_nothing_stays_in_redis(fleet: Fleet) -> None:
    """A session that ends, one that is cancelled, and one that is dispatched repeatedly without a worker."""
    await started(fleet, "a")
    ended, cancelled, lost = [await fleet.gateway.open(SessionOptions()) for _ in range(3)]
    await ended.write(SECOND)
    await ended.finish()
    await events_of(ended)
    await cancelled.cancel()
    await until(lambda: admitted_are(fleet.registry, 1))
    await lost.write(SECOND)
    fleet.signal("a", signal.SIGKILL)
    await fleet.ends("a")
    assert (await events_of(lost))[-1]["code"] == "model_unavailable"
    assert 0 < await fleet.redis.ttl(queue_name("stream", "echo")) <= 3
    await lost.cancel()
    await until(lambda: only_frontends_are_left(fleet))


async def only_frontends_are_left(fleet: Fleet) -> bool:
    """The gateway of this test goes on to say that it is there, and knows which sessions are to leave the disk; Celery
    remembers names of queues, not tasks. For some minutes it is known which workers have left on purpose."""
    mine = (b"voxtral:frontend", b"voxtral:disk", b"voxtral:metrics", b"_kombu.binding")
    found = [key async for key in fleet.redis.scan_iter("*") if not key.startswith(mine)]
    notes = [key for key in found if key.endswith(b":left")]
    return found == notes and all([0 < await fleet.redis.ttl(note) <= keys.LEFT_TTL_S for note in notes])


async def test_stopped_workers_leave_no_tasks(fleet: Fleet) -> None:
    await started(fleet, "a", "b")
    sessions = [await fleet.gateway.open(SessionOptions()) for _ in range(SLOTS)]
    for label in ("a", "b"):
        fleet.signal(label, signal.SIGTERM)
    assert [await fleet.ends(label) for label in ("a", "b")] == [0, 0]
    for session in sessions:
        assert (await events_of(session))[-1]["type"] == "error"
    for queue in QUEUES:
        assert await fleet.redis.ttl(queue_name(queue, "echo")) != -1, "a queue without an end"
    await until(lambda: only_frontends_are_left(fleet))
