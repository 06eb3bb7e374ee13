"""What is sent of the events of a session."""

from datetime import UTC, datetime
from typing import Any

import orjson

from shared.bus.webhooks import PAGE_FINALS, Look
from shared.webhooks.webhook import ALL, Webhook, WebhookEvent
from worker.webhooks.bodies import LOST, MAX_BYTES, bodies, sent_at_s

NOW = datetime(2026, 12, 31, 0, 0, 59, 412_000, UTC)


def final(seq: int, **more: Any) -> bytes:
    return orjson.dumps({"type": "final", "session_id": "s1", "seq": seq, "text": "Hello.", **more})


def look(
    *finals: bytes, last: dict[str, Any] | None = None, events: tuple[WebhookEvent, ...] = ALL, **state: bool
) -> Look:
    return Look(
        "s1",
        Webhook("https://receiver.example/", events),
        finals=list(finals),
        finals_before=0,
        last=None if last is None else orjson.dumps(last),
        has_ended=state.get("has_ended", False),
        is_lost=state.get("is_lost", False),
    )


def test_body_holds_the_event_and_the_time() -> None:
    made = bodies(look(final(3), final(5)), NOW)
    assert [*made] == [3, 5]
    assert orjson.loads(made[3]) == {
        "type": "session.final",
        "timestamp": "2026-12-31T00:00:59.412+00:00",
        "data": orjson.loads(final(3)),
    }
    assert sent_at_s(made[3]) == NOW.timestamp()


def test_last_event_is_sent_when_the_session_has_ended() -> None:
    done = {"type": "done", "session_id": "s1", "seq": 4}
    assert [*bodies(look(final(3), last=done, has_ended=True), NOW)] == [3, 4]
    assert [*bodies(look(final(3), last=done), NOW)] == [3]
    page = [final(seq) for seq in range(PAGE_FINALS)]  # more finals may follow
    assert len(bodies(look(*page, last=done, has_ended=True), NOW)) == PAGE_FINALS
    assert not bodies(look(last={"type": "partial", "seq": 9}, has_ended=True), NOW)


def test_only_wanted_events_are_sent() -> None:
    done = {"type": "done", "session_id": "s1", "seq": 4}
    made = bodies(look(final(3), last=done, has_ended=True, events=(WebhookEvent.DONE,)), NOW)
    assert [*made] == [4]


def test_lost_session_is_an_error() -> None:
    made = bodies(look(is_lost=True), NOW)
    assert orjson.loads(made[LOST])["data"]["code"] == "session_expired"


def test_erased_session_sends_nothing() -> None:
    assert not bodies(Look("s1", None, [], 0, None, has_ended=False, is_lost=True), NOW)


def test_long_event_is_sent_without_words_and_then_without_text() -> None:
    words = [{"text": "x" * 100, "start": 0, "end": 1}] * 3000
    first = orjson.loads(bodies(look(final(3, words=words)), NOW)[3])["data"]
    assert (first["omitted"], first["text"]) == (["words"], "Hello.")
    made = bodies(look(final(3, words=words).replace(b"Hello.", b"x" * MAX_BYTES)), NOW)[3]
    assert orjson.loads(made)["data"]["omitted"] == ["words", "text"]
    assert len(made) < MAX_BYTES
