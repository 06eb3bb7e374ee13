"""Many clients at the same moment: each is served in order, or gets `server_busy`."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from frontend.access.session_tokens import viewer_token
from frontend.access.tokens import digest
from frontend.process import FrontendProcess
from frontend.sessions.session import Session
from shared.bus import event_log, keys, redis_internals
from shared.bus.failures import store_error
from shared.bus.redis_internals import FairPool, NoConnectionFreeError, PackedTcpConnection
from shared.errors import ServerBusyError, SessionUnknownError, VoxtralError
from shared.session_options import SessionOptions
from tests.integration.workers import SECOND, Fleet
from tests.limits import limit_s
from tests.stack import Stack

MANY = 250
SLOTS = 200


@pytest.fixture(scope="module")
def service(server: Stack) -> Stack:
    return server


@pytest.fixture
async def pool(server: Stack) -> AsyncIterator[FairPool]:
    """Two connections."""
    pool = FairPool.from_url(server.redis_url, max_connections=2, wait_s=60, protocol=2)
    pool.connection_class = PackedTcpConnection
    yield pool
    await pool.disconnect()


def patient(frontend: FrontendProcess) -> FrontendProcess:
    """The same frontend, whose clients wait for connections to Redis and for subscriptions for as long as they need.
    How long a crowd takes depends on the load of the machine, and after 5 s the last ones would get `server_busy`."""
    pool = frontend._arrivals.connection_pool
    assert isinstance(pool, FairPool)
    pool._wait_s = limit_s(60)
    return frontend


@pytest.fixture
def patient_subscriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "CONFIRMATION_S", limit_s(60))


async def test_commands_wait_for_a_connection_in_order(pool: FairPool) -> None:
    redis = Redis.from_pool(pool)
    served: list[int] = []

    async def ask(number: int) -> None:
        await redis.set("number", number)
        served.append(number)

    await asyncio.gather(*(ask(number) for number in range(MANY)))
    assert sorted(served) == list(range(MANY))
    assert max(abs(number - place) for place, number in enumerate(served)) <= 2
    assert len(pool._available_connections) == 2


async def test_a_wait_that_is_cancelled_or_too_long_costs_no_connection(pool: FairPool) -> None:
    held = [await pool.get_connection(), await pool.get_connection()]
    waiting = asyncio.create_task(pool.get_connection())
    await asyncio.sleep(0)
    waiting.cancel()
    pool._wait_s = 0.2
    with pytest.raises(NoConnectionFreeError, match=r"within 0\.2 s"):
        await pool.get_connection()
    for connection in held:
        await pool.release(connection)
    assert {await pool.get_connection(), await pool.get_connection()} == set(held)


async def test_the_line_is_bounded(pool: FairPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_internals, "MAX_WAITING", 0)
    with pytest.raises(NoConnectionFreeError) as raised:
        await pool.get_connection()
    error = store_error(raised.value)
    assert isinstance(error, ServerBusyError)
    assert error.retry_after_s


@pytest.mark.usefixtures("patient_subscriptions")
async def test_starts_and_returns_of_a_crowd_are_served_or_told_that_the_server_is_busy(fleet: Fleet) -> None:
    await fleet.start("worker", VOXTRAL_MODEL__SLOTS=str(SLOTS))
    told = Counter[str]()
    patience = fleet.service.settings.session.model_copy(update={"claim_timeout_s": 60.0})
    settings = fleet.service.settings.model_copy(update={"session": patience})

    async with FrontendProcess.running(settings, "crowded") as frontend:
        gateway = patient(frontend).gateway

        async def start() -> Session | None:
            try:
                return await gateway.open(SessionOptions())
            except VoxtralError as error:
                told[error.code] += 1
                return None

        sessions = [one for one in await asyncio.gather(*(start() for _ in range(MANY))) if one is not None]
        assert (len(sessions), told) == (SLOTS, {"server_busy": MANY - SLOTS})
        for session in sessions:
            await session.write(SECOND)
    async with FrontendProcess.running(fleet.service.settings, "restarted") as restarted:
        gateway = patient(restarted).gateway
        back = await asyncio.gather(*(gateway.resume(one.id, one.resume_token, seq=1) for one in sessions))
        assert {session.audio_received_samples for session in back} == {16_000}
        await asyncio.gather(*(session.cancel() for session in back))


@pytest.mark.usefixtures("patient_subscriptions")
async def test_viewers_of_a_crowd_all_get_a_place(redis: Redis, fleet: Fleet) -> None:
    token = viewer_token("resume token")
    stored = {"state": "live", "seq": 0, "viewer": digest(token), "lease": 0}
    await redis.hset(keys.session("crowded"), mapping=stored)
    viewers = patient(fleet.frontend).viewers
    entered = asyncio.Event()

    async def view() -> None:
        async with viewers.place("crowded", token):
            if len(viewers) == 2 * MANY:
                entered.set()
            await entered.wait()

    async with asyncio.TaskGroup() as crowd:  # one that gets no place ends the others, which wait for it
        for _ in range(2 * MANY):
            crowd.create_task(view())
    assert len(viewers) == 0
    with pytest.raises(SessionUnknownError):
        await viewers.standing("crowded", "wrong")
