"""What waits for webhooks in Redis: nothing is lost, and nothing of an erased session returns."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.webhooks import MAX_FIELDS, PAGE_FINALS, Look, Outbox, register
from shared.config.webhooks import OutgoingSettings, WebhookSettings
from shared.metrics.metrics import Metrics
from shared.outgoing.client import OutgoingClient
from shared.webhooks.schedule import Backoff
from shared.webhooks.signing import Signer, encoded
from shared.webhooks.webhook import Webhook
from tests.integration.workers import until
from worker.webhooks.bodies import bodies
from worker.webhooks.delivery import SILENT, Delivery, Result
from worker.webhooks.silent_receivers import FAILURES

WEBHOOK = Webhook("https://receiver.example/hook", key_name="anna")
KEEP_S = 3600
DONE = orjson.dumps({"type": "done", "seq": 900})


@pytest.fixture
async def outbox(redis: Redis) -> Outbox:
    await register(redis, "s1", WEBHOOK, KEEP_S)
    await redis.hset(keys.session("s1"), "state", "live")
    return Outbox(redis, KEEP_S)


async def look(outbox: Outbox) -> Look:
    (found,) = await outbox.look_up(["s1"])
    return found


def due(outbox: Outbox, count: int = 100) -> Callable[[], Awaitable[list[str]]]:
    return lambda: outbox.take_due(count, 60)


async def test_session_is_looked_up_at_once_and_then_by_one_sender_at_a_time(redis: Redis, outbox: Outbox) -> None:
    assert await outbox.take_sessions() == ["s1"]
    assert await outbox.take_sessions() == []
    assert (await look(outbox)).is_quiet
    await outbox.look_later(["s1"])
    await until(outbox.take_sessions)
    await redis.zadd(keys.REPORTED, {"s1": 0})  # the lease of a sender that has died is over
    assert await Outbox(redis, KEEP_S).take_sessions() == ["s1"]


async def test_progress_is_stored_after_the_events(redis: Redis, outbox: Outbox) -> None:
    await redis.rpush(keys.finals("s1"), b"1", b"2")
    first = await look(outbox)
    assert (first.webhook, first.finals, first.is_over) == (WEBHOOK, [b"1", b"2"], False)
    assert (await look(outbox)).finals == [b"1", b"2"], "a sender that dies before it stores them loses none"
    assert await outbox.store(first, {1: b"a", 2: b"b"}) == 2
    assert not (await look(outbox)).finals
    assert await due(outbox)() == ["s1/1", "s1/2"]
    assert await due(outbox)() == [], "they are taken"
    assert await outbox.counts() == (1, 2)


async def test_events_of_a_session_that_has_ended_end_with_the_last_one(redis: Redis, outbox: Outbox) -> None:
    await redis.rpush(keys.finals("s1"), *[b"%d" % number for number in range(PAGE_FINALS + 1)])
    await redis.xadd(keys.events("s1"), {"e": DONE}, "900-0")
    await redis.hset(keys.session("s1"), "state", "done")
    page = await look(outbox)
    assert (len(page.finals), page.is_over) == (PAGE_FINALS, False)
    await outbox.store(page, {1: b"a"})
    rest = await look(outbox)
    assert (len(rest.finals), rest.is_over, rest.last) == (1, True, DONE)
    await outbox.store(rest, {900: b"b"})
    assert await redis.zscore(keys.REPORTED, "s1") is None
    await outbox.settle("s1/1")
    assert await redis.exists(keys.webhook("s1"))
    await outbox.settle("s1/900")
    assert not await redis.exists(keys.webhook("s1"), keys.DUE)
    assert await redis.zscore(keys.UNERASED, "s1") is not None


async def test_failed_attempts_are_counted(outbox: Outbox) -> None:
    await outbox.store(await look(outbox), {1: b"a"})
    assert await due(outbox)() == ["s1/1"]
    for attempts in (0, 1):
        pending = await outbox.pending("s1/1")
        assert pending is not None
        assert (pending.session_id, pending.webhook, pending.attempts) == ("s1", WEBHOOK, attempts)
        await outbox.again_later(pending, 0)
    await until(due(outbox))
    await outbox.settle("s1/1")
    assert await outbox.pending("s1/1") is None
    assert await outbox.counts() == (1, 0)


async def test_attempt_that_ends_after_another_has_delivered_changes_nothing(redis: Redis, outbox: Outbox) -> None:
    await redis.hset(keys.session("s1"), "state", "done")
    await outbox.store(await look(outbox), {1: b"a", 2: b"b"})
    late = await outbox.pending("s1/1")
    assert late is not None
    await outbox.settle("s1/1")
    await outbox.again_later(late, 0)
    assert await outbox.pending("s1/1") is None
    await outbox.settle("s1/2")
    assert not await redis.exists(keys.webhook("s1"), keys.DUE)


@pytest.mark.parametrize("when", ["before it is stored", "while it is sent", "before it is settled"])
async def test_nothing_of_an_erased_session_returns(redis: Redis, outbox: Outbox, when: str) -> None:
    found = await look(outbox)
    if when != "before it is stored":
        assert await outbox.store(found, {1: b"a"}) == 1
        pending = await outbox.pending("s1/1")
        assert pending is not None
    await redis.delete(keys.webhook("s1"), keys.session("s1"))
    if when == "before it is stored":
        assert await outbox.store(found, {1: b"a"}) == 0
    elif when == "while it is sent":
        await outbox.again_later(pending, 0)
    else:
        await outbox.settle("s1/1")
    assert not await redis.exists(keys.webhook("s1"))
    assert await outbox.pending("s1/1") is None
    erased = await look(outbox)
    assert erased.webhook is None
    assert await outbox.store(erased, {}) == 0
    assert await redis.zscore(keys.REPORTED, "s1") is None


async def test_receiver_that_wants_no_more_gets_no_more(redis: Redis, outbox: Outbox) -> None:
    await outbox.store(await look(outbox), {1: b"a", 2: b"b"})
    await outbox.drop_all("s1")
    assert await outbox.pending("s1/2") is None
    assert not await redis.exists(keys.webhook("s1"), keys.REPORTED)


async def test_too_many_events_are_dropped_and_the_rest_continues(redis: Redis, outbox: Outbox) -> None:
    await redis.rpush(keys.finals("s1"), b"1")
    fitting = MAX_FIELDS // 2 - 1  # besides the target
    found = await look(outbox)
    for _ in range(2):  # the answer to the first call was lost
        assert await outbox.store(found, dict.fromkeys(range(fitting + 7), b"a")) >= fitting
    assert not (await look(outbox)).finals
    assert await redis.zcard(keys.DUE) == await redis.hlen(keys.webhook("s1")) - 2  # the target and the progress
    assert {f"s1/{seq}".encode() for seq in range(fitting)} <= set(await redis.zrange(keys.DUE, 0, -1))


async def test_last_event_of_a_session_is_stored_however_many_wait(redis: Redis, outbox: Outbox) -> None:
    await redis.hset(keys.webhook("s1"), mapping={f"e:{seq}": b"a" for seq in range(MAX_FIELDS)})
    assert await outbox.store(await look(outbox), {5000: b"a"}) == 0
    await redis.hset(keys.session("s1"), "state", "done")
    assert await outbox.store(await look(outbox), {5000: b"a", 5001: b"done"}) == 1
    assert await due(outbox)() == ["s1/5001"]


async def test_event_is_not_given_up_without_a_request(outbox: Outbox) -> None:
    final = orjson.dumps({"type": "final", "seq": 1})
    found = replace(await look(outbox), finals=[final])
    await outbox.store(found, bodies(found, datetime.now(UTC)))
    settings = WebhookSettings(attempts=1, secret=SecretStr(encoded(bytes(32))))
    with closing(OutgoingClient(OutgoingSettings())) as client:
        signer, backoff = Signer.of(settings), Backoff(settings)
        delivery = Delivery(outbox, client, signer, backoff, Metrics(), settings.timeout_s)
        for _ in range(FAILURES):
            delivery.silent.note("https://receiver.example", answered=False)
        result = await delivery.attempt("s1/1")
    assert (result["result"], result["reason"]) == (Result.FAILED, SILENT)
    pending = await outbox.pending("s1/1")
    assert pending is not None
    assert pending.attempts == 1


async def test_all_keys_expire(redis: Redis, outbox: Outbox) -> None:
    await outbox.store(await look(outbox), {1: b"a"})
    for name in (keys.webhook("s1"), keys.REPORTED, keys.DUE):
        assert 0 < await redis.ttl(name) <= KEEP_S, name
