"""Several models side by side: which one serves a session, and that a full or dead one does not affect others."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from redis.asyncio import Redis

from frontend.process import FrontendProcess
from frontend.sessions.gateway import Gateway
from frontend.sessions.session import Session
from shared.bus.registry import Registry
from shared.celery_config import queue_name
from shared.errors import InvalidFieldError, ModelUnavailableError, ModeUnsupportedError, ServerBusyError
from shared.session_options import Mode, SessionOptions
from tests.integration.workers import SECOND, admitted_are, emptied, events_of, redis_alone, until, workers_are
from tests.limits import limit_s
from tests.stack import Stack

StartWorker = Callable[..., Awaitable[None]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Redis alone; each test starts the workers that it needs, with two slots each."""
    with redis_alone(tmp_path_factory.mktemp("models"), model={"slots": 2}, session={"claim_timeout_s": 3}) as stack:
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
async def start_worker(service: Stack, registry: Registry) -> AsyncIterator[StartWorker]:
    """Starts a worker of a model (its label, unless another is given) and waits until it is announced."""
    started: list[str] = []

    async def start(model: str, label: str | None = None) -> None:
        service.spawn("worker", label or model, VOXTRAL_MODEL__NAME=model)
        started.append(label or model)
        await until(lambda: workers_are(registry, len(started)))

    yield start
    for label in started:
        if label in service.processes:
            service.stop(label, signal.SIGKILL)


async def model_of(session: Session) -> str:
    """What `ready` says of the model; the session is dropped."""
    async with asyncio.timeout(limit_s(10)):
        ready = await anext(session.events())
    await session.cancel()
    return str(ready.wire["model"])


async def sessions_begun_are(registry: Registry, by_model: dict[str, int]) -> bool:
    return {worker.model: worker.sessions_total for worker in await registry.workers()} == by_model


async def test_each_session_is_served_by_a_worker_of_its_model(gateway: Gateway, start_worker: StartWorker) -> None:
    await start_worker("echo")
    await start_worker("echo:b")
    for asked, served in (
        ("echo:b", "echo:b"),
        ("echo", "echo"),
        ("ECHO:B", "echo:b"),
        ("auto", "echo"),
        (None, "echo"),
    ):
        for queue in ("stream", "batch"):
            session = await gateway.open(SessionOptions(model=asked), queue=queue)
            assert (session.model, await model_of(session)) == (served, served)
    with pytest.raises(InvalidFieldError, match=r"^model is 'echo:c'; allowed: auto, echo, echo:b\.$"):
        await gateway.open(SessionOptions(model="echo:c"))


async def test_auto_picks_by_the_mode(gateway: Gateway, start_worker: StartWorker) -> None:
    await start_worker("echo")
    await start_worker("whisper-base")
    for mode, served in ((Mode.TRANSCRIBE, "whisper-base"), (Mode.UNDERSTAND, "echo"), (Mode.GENERAL, "echo")):
        assert await model_of(await gateway.open(SessionOptions(mode=mode))) == served
    with pytest.raises(ModeUnsupportedError, match=r"not supported by whisper-base; of .* models, echo can"):
        await gateway.open(SessionOptions(mode=Mode.UNDERSTAND, model="whisper-base"))
    with pytest.raises(InvalidFieldError, match=r"^language is 'tlh'; allowed: .*en"):
        await gateway.open(SessionOptions(language="tlh", model="whisper-base"))


async def test_a_full_model_blocks_no_other(gateway: Gateway, registry: Registry, start_worker: StartWorker) -> None:
    await start_worker("echo")
    await start_worker("echo:b")
    held = [await gateway.open(SessionOptions(model="echo")) for _ in range(2)]
    with pytest.raises(ServerBusyError, match="Every slot is taken"):
        await gateway.open(SessionOptions(model="echo"))
    held += [await gateway.open(SessionOptions()) for _ in range(2)]
    assert [session.model for session in held] == ["echo", "echo", "echo:b", "echo:b"]
    with pytest.raises(ServerBusyError):
        await gateway.open(SessionOptions())
    for session in held:
        await session.cancel()
    for model in ("echo", "echo:b"):
        await until(lambda model=model: admitted_are(registry, 0, model))


async def test_a_session_is_taken_over_by_its_own_model_only(
    service: Stack, gateway: Gateway, registry: Registry, start_worker: StartWorker
) -> None:
    await start_worker("echo:b", "first")
    session = await gateway.open(SessionOptions(model="echo:b"))
    await start_worker("echo")
    await start_worker("echo:b", "second")
    await session.write(SECOND)
    service.stop("first", signal.SIGKILL)
    await session.finish()
    events = await events_of(session)
    assert (events[-1]["type"], events[-1]["duration"]) == ("done", 1.0)
    await until(lambda: workers_are(registry, 2))
    await until(lambda: sessions_begun_are(registry, {"echo": 0, "echo:b": 1}))


async def test_a_session_whose_model_is_gone_ends_with_an_error(
    service: Stack, gateway: Gateway, registry: Registry, start_worker: StartWorker
) -> None:
    await start_worker("echo")
    await start_worker("echo:b")
    session = await gateway.open(SessionOptions(model="echo:b"))
    service.stop("echo:b", signal.SIGKILL)
    await until(lambda: workers_are(registry, 1))
    events = await events_of(session)
    assert (events[-1]["code"], events[-1]["message"]) == (
        "model_unavailable",
        "No worker took the session over within 3 s.",
    )
    with pytest.raises(ModelUnavailableError, match="No worker of echo:b is running now"):
        await gateway.check(session.options)


async def test_a_resumed_session_stays_with_its_model(
    service: Stack, gateway: Gateway, start_worker: StartWorker
) -> None:
    await start_worker("echo")
    await start_worker("echo:b", "first")
    session = await gateway.open(SessionOptions(model="echo:b"))
    await session.write(SECOND)
    session.detach()
    async with FrontendProcess.running(service.settings, "other") as other:
        resumed = await other.gateway.resume(session.id, session.resume_token, 1)
        assert resumed.model == "echo:b"
        await start_worker("echo:b", "second")
        service.stop("first", signal.SIGKILL)
        await resumed.finish()
        assert (await events_of(resumed))[-1]["type"] == "done"


async def test_status_tells_of_each_model(gateway: Gateway, start_worker: StartWorker) -> None:
    await start_worker("echo")
    await start_worker("echo:b")
    info = (await gateway.status())["model_info"]
    assert info["model"] == "echo, echo:b"
    assert [(model["model"], model["slots"]) for model in info["models"]] == [("echo", 2), ("echo:b", 2)]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("mistralai/Voxtral-Mini-3B-2507", "stream:mistralai/Voxtral-Mini-3B-2507"),
        ("echo:b", "stream:echo:b"),
        ("/models/Größe, {1} 100%", "stream:/models/Gr%C3%B6%C3%9Fe%2C%20%7B1%7D%20100%25"),
    ],
)
def test_queue_names_are_plain(model: str, name: str) -> None:
    assert queue_name("stream", model) == name


async def test_any_name_makes_a_queue(gateway: Gateway, start_worker: StartWorker) -> None:
    model = "echo:a, {b}/Ünï\t*?100%"
    await start_worker("echo")
    await start_worker(model, "odd")
    assert await model_of(await gateway.open(SessionOptions(model=model))) == model
