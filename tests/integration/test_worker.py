"""Workers as their sessions see them: claimed once, shown by Celery, taken over when one dies, gone without a trace."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from redis.asyncio import Redis

from frontend.process import FrontendProcess
from frontend.sessions.gateway import Gateway
from shared.bus import keys
from shared.bus.registry import Registry
from shared.celery_config import SESSION_TASK, celery_app
from shared.errors import InvalidFieldError, ModelUnavailableError, ModeUnsupportedError, ServerBusyError
from shared.session_options import Mode, SessionOptions
from tests.integration.workers import SECOND, admitted_are, emptied, events_of, redis_alone, until, workers_are
from tests.limits import limit_s
from tests.stack import Stack


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Redis alone; each test starts the workers that it needs."""
    limits = {"claim_timeout_s": 3, "retention_s": 5}
    with redis_alone(tmp_path_factory.mktemp("workers"), model={"slots": 2}, session=limits) as stack:
        yield stack


@pytest.fixture
async def redis(service: Stack) -> AsyncIterator[Redis]:
    async with emptied(service) as redis:
        yield redis


@pytest.fixture
async def frontend(service: Stack, redis: Redis) -> AsyncIterator[FrontendProcess]:
    async with FrontendProcess.running(service.settings, "test") as running:
        yield running


@pytest.fixture
async def start_worker(service: Stack, registry: Registry) -> AsyncIterator[Callable[[str], Any]]:
    """Starts a worker under a label and waits until it is announced."""
    started: list[str] = []

    async def start(label: str) -> None:
        service.spawn("worker", label)
        started.append(label)
        await until(lambda: workers_are(registry, len(started)))

    yield start
    for label in started:
        if label in service.processes:
            service.stop(label, signal.SIGKILL)


async def test_session_is_a_task_that_shows_its_id_and_no_text(
    service: Stack, gateway: Gateway, start_worker: Callable[[str], Any], redis: Redis
) -> None:
    await start_worker("worker")
    app = celery_app(service.settings)
    heard = TaskEvents(app)
    await until(heard.has_begun)
    session = await gateway.open(SessionOptions(language="en", prompt="Names: Ada."))
    active = await asyncio.to_thread(app.control.inspect(timeout=limit_s(3), limit=1).active)
    (task,) = (task for tasks in active.values() for task in tasks)
    assert (task["id"], task["name"], task["args"]) == (session.id, SESSION_TASK, [session.id])
    assert (task["kwargs"]["options"]["language"], task["kwargs"]["options"]["model"]) == ("en", "echo")
    assert b"Ada" in await redis.hget(keys.session(session.id), "options")
    await session.finish()
    await events_of(session)
    shown = await asyncio.to_thread(heard.all)
    assert {"task-sent", "task-received", "task-started"} <= {event["type"] for event in shown}
    assert session.id in repr(shown)
    assert "Ada" not in repr([task, shown])
    app.close()


class TaskEvents:
    """What Flower gets: the events that Celery sends, collected by a separate thread."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    async def has_begun(self) -> bool:
        """Whether a first one has come: a worker's heartbeat."""
        return bool(self._events)

    def all(self) -> list[dict[str, Any]]:
        """All events up to the first task that has succeeded."""
        self._thread.join(15)
        assert self._events[-1]["type"] == "task-succeeded"
        return self._events

    def _collect(self) -> None:
        with self._app.connection() as connection:
            receiver = self._app.events.Receiver(connection, handlers={"*": lambda event: self._take(receiver, event)})
            receiver.capture(timeout=15, wakeup=False)

    def _take(self, receiver: Any, event: dict[str, Any]) -> None:
        self._events.append(event)
        receiver.should_stop = event["type"] == "task-succeeded"


async def test_every_slot_taken_is_refused_and_a_freed_one_is_used_at_once(
    gateway: Gateway, registry: Registry, start_worker: Callable[[str], Any]
) -> None:
    await start_worker("worker")
    first, second = [await gateway.open(SessionOptions()) for _ in range(2)]
    with pytest.raises(ServerBusyError) as refused:
        await gateway.open(SessionOptions())
    assert refused.value.retry_after_s
    await first.finish()
    assert (await events_of(first))[-1]["type"] == "done"
    await until(lambda: admitted_are(registry, 1))
    third = await gateway.open(SessionOptions())
    for session in (second, third):
        await session.cancel()


async def test_one_shot_waits_for_a_slot(gateway: Gateway, start_worker: Callable[[str], Any]) -> None:
    await start_worker("worker")
    held = [await gateway.open(SessionOptions()) for _ in range(2)]
    waiting = asyncio.create_task(gateway.open(SessionOptions(), queue="batch"))
    await asyncio.sleep(0)
    await held[0].cancel()
    session = await asyncio.wait_for(waiting, limit_s(10))
    for open_session in (held[1], session):
        await open_session.cancel()


async def test_without_a_worker_a_session_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ModelUnavailableError, match="No worker"):
        await gateway.open(SessionOptions())


async def test_hung_worker_that_claims_nothing_is_reported_in_time(
    service: Stack, gateway: Gateway, start_worker: Callable[[str], Any], redis: Redis
) -> None:
    await start_worker("worker")
    service.processes["worker"].send_signal(signal.SIGSTOP)
    with pytest.raises(ServerBusyError, match="No worker claimed"):
        await gateway.open(SessionOptions())
    assert not [key async for key in redis.scan_iter("voxtral:{*")]


async def test_detached_session_can_be_resumed_and_misses_nothing(
    service: Stack, gateway: Gateway, start_worker: Callable[[str], Any]
) -> None:
    await start_worker("worker")
    session = await gateway.open(SessionOptions(partials=False))
    for _ in range(12):
        await session.write(SECOND)
    source = session.events()
    seen = [(await anext(source)).wire for _ in range(2)]
    session.detach()
    async with FrontendProcess.running(service.settings, "other") as other:
        resumed = await other.gateway.resume(session.id, session.resume_token, seen[-1]["seq"])
        assert resumed.audio_received_samples == 12 * 16_000
        await resumed.write(SECOND)
        await resumed.finish()
        events = await events_of(resumed)
    assert events[0]["audio_received_samples"] == 12 * 16_000
    assert [event["seq"] for event in events[1:]] == list(range(3, events[-1]["seq"] + 1))
    assert events[-1]["duration"] == 13.0


async def test_nothing_is_left_of_a_session_after_its_retention(
    gateway: Gateway, registry: Registry, start_worker: Callable[[str], Any], redis: Redis
) -> None:
    await start_worker("worker")
    session = await gateway.open(SessionOptions())
    await session.write(SECOND)
    await session.finish()
    await events_of(session)
    await until(lambda: admitted_are(registry, 0))
    left = [key async for key in redis.scan_iter(f"voxtral:{{{session.id}}}*")]
    assert keys.audio(session.id).encode() not in left
    assert left
    for key in left:
        assert 0 < await redis.ttl(key) <= 5


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        (SessionOptions(mode=Mode.UNDERSTAND), ModeUnsupportedError, "mistralai/Voxtral-Mini-3B-2507"),
        (SessionOptions(language="tlh"), InvalidFieldError, "en"),
    ],
)
async def test_what_the_model_cannot_do_is_refused_before_any_audio(
    whisper_stack: Stack, options: SessionOptions, error: type[Exception], named: str
) -> None:
    async with FrontendProcess.running(whisper_stack.settings, "test") as frontend:
        with pytest.raises(error, match=named):
            await frontend.gateway.open(options)
