"""Events of sessions are sent to real receivers, signed, until they are accepted."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from standardwebhooks.webhooks import Webhook as Judge

from frontend.process import FrontendProcess
from frontend.sessions.gateway import Gateway
from frontend.sessions.session import Session
from shared.bus import keys
from shared.bus.connect import connect
from shared.entry import CANNOT_START
from shared.session_options import SessionOptions
from shared.webhooks.signing import encoded
from tests.integration.workers import SECOND, events_of, redis_alone, until
from tests.receivers import NO_CONTENT, Receiver, receiving, status
from tests.stack import Stack, wait_until

SECRET = encoded(bytes(range(32)))
ATTEMPTS = 4
HOOK = "/hook?token=s3cret"
"""Its path and query are secret."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Redis, a worker and a sender that retries quickly."""
    webhooks = {"enabled": True, "clients": "all", "secret": SECRET, "attempts": ATTEMPTS}
    webhooks |= {"first_retry_s": 0.1, "timeout_s": 1, "concurrency": 4}
    folder = tmp_path_factory.mktemp("webhooks")
    outgoing = {"allow": ["127.0.0.1"]}
    with redis_alone(folder, webhooks=webhooks, outgoing=outgoing, session={"retention_s": 60}) as stack:
        stack.spawn("worker")
        stack.spawn("webhooks")
        yield stack


@pytest.fixture
async def frontend(service: Stack) -> AsyncIterator[FrontendProcess]:
    async with FrontendProcess.running(service.settings, "test") as frontend:
        await until(frontend.registry.workers)
        await until(frontend.registry.senders)
        yield frontend


@pytest.fixture
async def store(service: Stack) -> AsyncIterator[Redis]:
    redis = connect(service.settings)
    yield redis
    await redis.aclose()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def spoken(gateway: Gateway, receiver: Receiver, finals: int = 2, **options: Any) -> Session:
    """A live session with a webhook and some finals."""
    session = await gateway.open(SessionOptions(webhook=receiver.url(HOOK), **options))
    for _ in range(finals):
        await session.write(SECOND)
        await session.commit()
    return session


async def ended(gateway: Gateway, receiver: Receiver, finals: int = 2, **options: Any) -> list[dict[str, Any]]:
    """The events of a whole session."""
    session = await spoken(gateway, receiver, finals, **options)
    await session.finish()
    return await events_of(session)


def has(receiver: Receiver, *types: str) -> Callable[[], Awaitable[bool]]:
    """Whether these types of events were received, each so many times."""

    async def arrived() -> bool:
        return sorted(body["type"] for body in receiver.bodies) == sorted(types)

    return arrived


def wanted(events: list[dict[str, Any]], *types: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] in types]


async def test_finals_and_end_are_sent_signed(frontend: FrontendProcess, receiver: Receiver, store: Redis) -> None:
    events = await ended(frontend.gateway, receiver)
    await until(has(receiver, "session.final", "session.final", "session.done"))
    judge = Judge(SECRET)
    for one in receiver.received:
        assert judge.verify(one.body, one.headers) == one.json
        assert (one.method, one.path, one.headers["content-type"]) == ("POST", HOOK, "application/json")
        assert one.headers["webhook-id"] == f"{one.json['data']['session_id']}-{one.json['data']['seq']}"
    sent = sorted((body["data"] for body in receiver.bodies), key=lambda event: event["seq"])
    assert sent == wanted(events, "final", "done")
    session_id = events[0]["session_id"]
    await until(lambda: gone(store, session_id))
    assert HOOK not in str(await store.hgetall(keys.session(session_id)))


async def gone(store: Redis, session_id: str) -> bool:
    """Whether nothing is left to be sent of a session."""
    waiting = [one for one in await store.zrange(keys.DUE, 0, -1) if one.startswith(session_id.encode())]
    return not waiting and not await store.exists(keys.webhook(session_id))


async def test_only_the_wanted_events_are_sent(frontend: FrontendProcess, receiver: Receiver, store: Redis) -> None:
    events = await ended(frontend.gateway, receiver, webhook_events=("done",))
    await until(lambda: gone(store, events[0]["session_id"]))
    assert [body["type"] for body in receiver.bodies] == ["session.done"]


async def test_failed_attempts_are_repeated_with_the_same_id(
    frontend: FrontendProcess, receiver: Receiver, service: Stack
) -> None:
    answers = [status(500), status(307, "Location: /elsewhere"), status(503, "Retry-After: 1")]
    receiver.answer = lambda _: answers.pop(0) if answers else NO_CONTENT
    events = await ended(frontend.gateway, receiver, finals=0)
    await until(has(receiver, *["session.done"] * ATTEMPTS))
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert len({one.body for one in receiver.received}) == 1
    failures = [line for line in service.log("webhook_failed") if line["session_id"] == events[0]["session_id"]]
    assert [line["reason"] for line in failures] == [f"the receiver answered {code}" for code in (500, 307, 503)]
    assert failures[-1]["next_in_s"] >= 1
    assert "s3cret" not in service.log_text()


async def test_event_is_given_up_after_the_last_attempt(
    frontend: FrontendProcess, receiver: Receiver, service: Stack, store: Redis
) -> None:
    receiver.answer = lambda _: status(500)
    events = await ended(frontend.gateway, receiver, finals=0)
    await until(lambda: gone(store, events[0]["session_id"]))
    assert len(receiver.received) == ATTEMPTS
    assert service.log("webhook_given_up")[-1]["session_id"] == events[0]["session_id"]


async def test_receiver_that_is_down_gets_the_events_later(frontend: FrontendProcess, service: Stack) -> None:
    async with receiving() as first:
        pass
    events = await ended(frontend.gateway, first, finals=1)

    async def has_failed() -> bool:
        lines = service.log("webhook_failed")
        return any(line["session_id"] == events[0]["session_id"] for line in lines)

    await until(has_failed)
    async with receiving(port=first.port) as second:
        await until(has(second, "session.final", "session.done"))


async def test_receiver_that_is_gone_gets_no_more_events(
    frontend: FrontendProcess, receiver: Receiver, store: Redis
) -> None:
    receiver.answer = lambda _: status(410)
    session = await spoken(frontend.gateway, receiver, finals=1)
    await until(lambda: gone(store, session.id))
    await session.write(SECOND)
    await session.finish()
    await events_of(session)
    assert len(receiver.received) == 1
    await until(lambda: is_unreported(store, session.id))


async def is_unreported(store: Redis, session_id: str) -> bool:
    return await store.zscore(keys.REPORTED, session_id) is None


async def test_erased_session_sends_nothing_more(frontend: FrontendProcess, receiver: Receiver, store: Redis) -> None:
    receiver.answer = lambda _: status(503, "Retry-After: 2")
    session = await spoken(frontend.gateway, receiver, finals=1)
    await until(has(receiver, "session.final"))
    await session.cancel()
    assert not await store.exists(keys.webhook(session.id))
    await until(lambda: gone(store, session.id))
    await until(lambda: is_unreported(store, session.id))
    assert len(receiver.received) == 1


async def test_killed_sender_loses_no_event(
    frontend: FrontendProcess, receiver: Receiver, service: Stack, store: Redis
) -> None:
    """It dies while the receiver has its request and does not answer; the session ends meanwhile."""
    receiver.stays_open, receiver.answer = True, lambda _: b""
    session = await spoken(frontend.gateway, receiver, finals=1)
    await until(has(receiver, "session.final"))
    service.stop("webhooks", signal.SIGKILL)
    await session.finish()
    events = await events_of(session)
    receiver.stays_open, receiver.answer = False, lambda _: NO_CONTENT
    service.spawn("webhooks")
    await until(lambda: gone(store, session.id))
    ids = [one.headers["webhook-id"] for one in receiver.received]
    assert ids.count(f"{session.id}-{wanted(events, 'final')[0]['seq']}") == 2
    assert ids.count(f"{session.id}-{wanted(events, 'done')[0]['seq']}") == 1


async def test_stopping_sender_ends_its_attempts(
    frontend: FrontendProcess, receiver: Receiver, service: Stack, store: Redis
) -> None:
    receiver.stays_open, receiver.answer = True, lambda _: b""
    session = await spoken(frontend.gateway, receiver, finals=1)
    await until(has(receiver, "session.final"))
    service.processes["webhooks"].send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(service.wait, "webhooks") == 0
    assert not [key async for key in store.scan_iter("voxtral:sender*")]
    await session.finish()
    await events_of(session)
    receiver.stays_open, receiver.answer = False, lambda _: NO_CONTENT
    service.spawn("webhooks")
    await until(lambda: gone(store, session.id))


async def test_killed_worker_loses_no_event(
    frontend: FrontendProcess, receiver: Receiver, service: Stack, store: Redis
) -> None:
    session = await spoken(frontend.gateway, receiver, finals=1)
    await until(lambda: store.exists(keys.finals(session.id)))
    service.stop("worker", signal.SIGKILL)
    service.spawn("worker")
    await session.write(SECOND)
    await session.finish()
    events = await events_of(session)
    await until(lambda: gone(store, session.id))
    received = {one.headers["webhook-id"] for one in receiver.received}
    assert received == {f"{session.id}-{event['seq']}" for event in wanted(events, "final", "done")}


async def test_events_are_dropped_while_too_many_wait(
    frontend: FrontendProcess, receiver: Receiver, service: Stack, store: Redis
) -> None:
    await until(lambda: is_idle(store))
    await asyncio.to_thread(service.stop, "webhooks")
    service.spawn("webhooks", VOXTRAL_WEBHOOKS__MAX_PENDING="1")
    receiver.answer = lambda _: status(503, "Retry-After: 60")
    waiting = await spoken(frontend.gateway, receiver, finals=1)
    await until(has(receiver, "session.final"))
    events = await ended(frontend.gateway, receiver, finals=1)
    await until(lambda: is_unreported(store, events[0]["session_id"]))
    assert {line["session_id"] for line in service.log("webhook_events_dropped")} == {events[0]["session_id"]}
    await until(lambda: gone(store, events[0]["session_id"]))
    await waiting.cancel()
    await asyncio.to_thread(service.stop, "webhooks")
    service.spawn("webhooks")


async def is_idle(store: Redis) -> bool:
    return not await store.zcard(keys.DUE)


async def test_error_of_a_session_is_sent(frontend: FrontendProcess, receiver: Receiver, store: Redis) -> None:
    session = await spoken(frontend.gateway, receiver, finals=0)
    owner = await store.hget(keys.session(session.id), "owner")
    assert owner is not None
    await store.xadd(keys.control(owner.decode()), {"end": session.id})  # as on the page of operators
    await events_of(session)
    await until(has(receiver, "session.error"))
    assert receiver.bodies[0]["data"]["code"] == "session_expired"


async def test_session_whose_events_have_expired_is_reported(
    frontend: FrontendProcess, receiver: Receiver, store: Redis
) -> None:
    session = await spoken(frontend.gateway, receiver, finals=0)
    await store.delete(*keys.of_session(session.id))
    await until(has(receiver, "session.error"))
    assert receiver.received[0].headers["webhook-id"] == f"{session.id}-lost"


def test_process_waits_if_webhooks_are_disabled(tmp_path: Path) -> None:
    """A process manager starts all programs of the Procfile, and one that ends may end the others."""
    stack = Stack(tmp_path)
    try:
        stack.spawn("webhooks")
        wait_until(lambda: bool(stack.log("webhooks_disabled")), "the process waits", check=stack.check_alive)
        assert stack.stop("webhooks") == 0
    finally:
        stack.stop_all()


def test_process_does_not_start_without_a_secret(tmp_path: Path) -> None:
    stack = Stack(tmp_path, webhooks={"enabled": True})
    stack.spawn("webhooks")
    assert stack.wait("webhooks", 20) == CANNOT_START
    assert "There is no secret to sign webhooks with" in stack.output("webhooks")


async def test_nothing_is_sent_or_stored_without_a_webhook(
    frontend: FrontendProcess, receiver: Receiver, store: Redis
) -> None:
    session = await frontend.gateway.open(SessionOptions())
    await session.write(SECOND)
    await session.finish()
    await events_of(session)
    assert not await store.exists(keys.webhook(session.id))
    assert not receiver.received
