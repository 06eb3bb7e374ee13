"""Redis is killed, hangs, or rejects writes during live sessions: they continue without loss when it recovers."""

import asyncio
import contextlib
import json
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from frontend.client import Done, Final, ServerError, TranscriptionClient, Warned
from frontend.process import FrontendProcess
from frontend.sessions import outage
from shared.bus.connect import connect
from shared.session_options import SessionOptions
from tests.integration.test_client_resumes import CHUNK, Listener
from tests.integration.viewers import SseViewer, final_segments
from tests.limits import limit_s
from tests.speech import SENTENCES, synthesise
from tests.stack import Stack, listens, wait_until
from voxtral_client.events import Ready

pytestmark = pytest.mark.redis_server

CHUNK_S = 0.08
OUTAGE_S = 7
SLOTS = 34
"""Of both workers."""
TIMEOUT_S = limit_s(60)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service with a worker of each engine, whose Redis the tests maltreat."""
    stack = Stack(tmp_path_factory.mktemp("outage"), session={"max_backlog_s": 6})
    try:
        stack.start()
        stack.spawn("worker", "whisper", VOXTRAL_MODEL__NAME="whisper-base", VOXTRAL_MODEL__SLOTS="2")
        wait_until(lambda: stack.status()["slots"] == SLOTS, "both workers are warm", 60)
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
async def redis(service: Stack) -> AsyncIterator[Redis]:
    client = connect(service.settings)
    yield client
    await client.config_set("maxmemory", "2gb")
    await client.config_set("min-replicas-to-write", 0)
    await asyncio.to_thread(wait_until, lambda: service.status()["slots"] == SLOTS, "both workers are back", 20)
    await client.aclose()


def ready(stack: Stack) -> tuple[int, str]:
    """Status and reason of `/ready`."""
    try:
        with urllib.request.urlopen(f"{stack.health_url}/ready", timeout=limit_s(3)) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["reason"]


def is_unready(stack: Stack, reason: str) -> bool:
    status, told = ready(stack)
    return status == 503 and reason in told


async def restart_redis(stack: Stack, after_s: float) -> None:
    await asyncio.to_thread(stack.stop, "redis", signal.SIGKILL)
    await asyncio.sleep(after_s)
    stack.spawn("redis")
    await asyncio.to_thread(wait_until, lambda: listens(stack.settings.redis.port), "Redis listens")


async def hang_redis(stack: Stack, after_s: float) -> None:
    stack.processes["redis"].send_signal(signal.SIGSTOP)
    await asyncio.sleep(after_s)
    stack.processes["redis"].send_signal(signal.SIGCONT)


async def speak(
    stack: Stack, model: str, audio: bytes, pause_s: float, invite: Callable[[Ready], None] = lambda ready: None
) -> Listener:
    """Sends the audio in chunks; what the session said, to its end."""
    async with TranscriptionClient(stack.ws_url) as client, client.live(model=model) as session:
        listener = Listener(session)
        invite(session.ready)
        for start in range(0, len(audio), len(CHUNK)):
            await session.send(audio[start : start + len(CHUNK)])
            await asyncio.sleep(pause_s)
        await session.stop()
        await listener.task
    return listener


def read_along(stack: Stack, ready: Ready) -> list[dict[str, Any]]:
    """All events that a viewer gets."""
    viewer = SseViewer(stack.web_url, f"/v1/sessions/{ready.session_id}/events", ready.viewer_token)
    try:
        return viewer.rest()
    finally:
        viewer.close()


def check_whole(listener: Listener, duration_s: float) -> None:
    done = listener.events[-1]
    assert isinstance(done, Done)
    assert done.duration_s == pytest.approx(duration_s, abs=0.001)
    assert [final.segment for final in listener.finals] == list(range(len(listener.finals)))
    assert done.text == " ".join(final.text for final in listener.finals if final.text)
    numbers = [event.seq for event in listener.events if event.seq is not None]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("outage", [restart_redis, hang_redis], ids=["killed", "hangs"])
async def test_live_sessions_survive_an_outage_of_redis_whole(service: Stack, outage) -> None:
    speech = (synthesise(SENTENCES[0], seed=1) * 32767).astype("<i2").tobytes()
    silence = bytes(32_000 * 3)
    told = speech + silence + speech + silence
    earlier = service.received_s()
    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as tasks:
        echoes = [tasks.create_task(speak(service, "echo", CHUNK * 150, CHUNK_S / 2)) for _ in range(4)]
        audience: list[asyncio.Task[list[dict[str, Any]]]] = []

        def invite(ready: Ready) -> None:
            audience.append(tasks.create_task(asyncio.to_thread(read_along, service, ready)))

        heard = tasks.create_task(speak(service, "whisper-base", told, CHUNK_S / 2, invite))
        await asyncio.to_thread(service.receives, 2.4, earlier, sessions=5)
        breaking = tasks.create_task(outage(service, OUTAGE_S))
        await asyncio.to_thread(wait_until, lambda: is_unready(service, "does not answer"), "the outage is reported")
        await breaking
    for echo in echoes:
        check_whole(echo.result(), 12.0)
        finals = echo.result().finals
        assert finals[0].start_s == 0
        assert sum(final.end_s - final.start_s for final in finals) == pytest.approx(12, abs=0.01)
    warned = [event.code for echo in echoes for event in echo.result().events if isinstance(event, Warned)]
    assert set(warned) == {"store_unavailable"}
    check_whole(heard.result(), len(told) / 32_000)
    told_to_viewer = audience[0].result()
    assert final_segments(told_to_viewer) == [final.segment for final in heard.result().finals]
    assert told_to_viewer[-1]["text"] == heard.result().events[-1].text
    assert heard.result().events[-1].text.lower().count("leaves the station at") == 2
    service.check_alive()
    await asyncio.to_thread(wait_until, lambda: service.status()["slots"] == SLOTS, "both workers are back", 20)
    failures = [line for line in service.log() if line["level"] in {"error", "critical"}]
    assert {line["logger"] for line in failures} <= {"celery.worker.consumer.consumer"}, "it says that Redis is gone"


async def test_full_memory_is_felt_and_gone_when_there_is_room_again(service: Stack, redis: Redis) -> None:
    earlier = service.received_s()
    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as tasks:
        echo = tasks.create_task(speak(service, "echo", CHUNK * 100, CHUNK_S / 2))
        await asyncio.to_thread(service.receives, 1.0, earlier)
        await redis.config_set("maxmemory", 1)
        await asyncio.to_thread(wait_until, lambda: is_unready(service, "rejects writes"), "full memory is reported")
        async with TranscriptionClient(service.ws_url) as client:
            with pytest.raises(ServerError) as raised:
                async with client.live(model="echo"):
                    pass
        assert raised.value.code == "model_unavailable"
        assert raised.value.retry_after_s
        await asyncio.sleep(5)  # longer than any lease
        await redis.config_set("maxmemory", 0)
    check_whole(echo.result(), 8.0)
    assert {event.code for event in echo.result().events if isinstance(event, Warned)} == {"store_unavailable"}
    assert await asyncio.to_thread(ready, service) == (200, "")


async def test_a_redis_that_takes_no_writes_at_all_is_waited_for(service: Stack, redis: Redis) -> None:
    """As with a full disk: even leases cannot be renewed, while reading works."""
    earlier = service.received_s()
    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as tasks:
        echo = tasks.create_task(speak(service, "echo", CHUNK * 100, CHUNK_S / 2))
        await asyncio.to_thread(service.receives, 1.0, earlier)
        await redis.config_set("min-replicas-to-write", 1)
        await asyncio.sleep(5)  # longer than any lease
        status, reason = await asyncio.to_thread(ready, service)
        assert (status, "rejects writes" in reason) == (503, True)
        await redis.config_set("min-replicas-to-write", 0)
    check_whole(echo.result(), 8.0)


async def test_finals_are_kept_while_memory_is_full(service: Stack, redis: Redis) -> None:
    """The position that the worker has processed is reported at once, since it makes room."""
    async with (
        asyncio.timeout(TIMEOUT_S),
        TranscriptionClient(service.ws_url) as client,
        client.live(model="echo") as session,
    ):
        listener = Listener(session)
        for _ in range(200):
            await session.send(CHUNK)
        await redis.config_set("maxmemory", 1)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(session.send(CHUNK * 400), 2)
        await redis.config_set("maxmemory", 0)
        await session.stop()
        await listener.task
    check_whole(listener, listener.events[-1].duration_s)
    assert listener.events[-1].duration_s >= 16


async def test_start_during_an_outage_is_refused_in_time_and_works_after_it(service: Stack) -> None:
    breaking = asyncio.create_task(restart_redis(service, 4))
    await asyncio.to_thread(wait_until, lambda: not listens(service.settings.redis.port), "Redis is gone")
    async with TranscriptionClient(service.ws_url) as client:
        async with asyncio.timeout(limit_s(10)):
            with pytest.raises(ServerError) as raised:
                async with client.live(model="echo"):
                    pass
        assert raised.value.code == "model_unavailable"
        await breaking
        await asyncio.to_thread(wait_until, lambda: service.status()["slots"] == SLOTS, "both workers are back", 20)
        async with asyncio.timeout(TIMEOUT_S), client.live(model="echo") as session:
            await session.send(CHUNK)
            await session.stop()
            assert [event.end_s async for event in session if isinstance(event, Final)] == [0.08]


async def test_client_is_told_when_the_store_does_not_come_back(
    service: Stack, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "WARN_AFTER_S", 0.5)
    monkeypatch.setattr(outage, "GIVE_UP_AFTER_S", 2.0)
    async with asyncio.timeout(TIMEOUT_S), FrontendProcess.running(service.settings, "test") as frontend:
        gateway = frontend.gateway
        session = await gateway.open(SessionOptions(model="echo", partials=False))
        await redis.config_set("maxmemory", 1)
        await session.write(CHUNK)
        events = [event.wire async for event in session.events()]
        await redis.config_set("maxmemory", 0)
    assert [event["type"] for event in events] == ["ready", "warning", "error"]
    assert (events[1]["code"], "seq" in events[1]) == ("store_unavailable", False)
    assert (events[2]["code"], events[2]["seq"]) == ("model_unavailable", 2)
    assert events[2]["retry_after_s"]
