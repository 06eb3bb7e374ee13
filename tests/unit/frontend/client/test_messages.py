"""The client's reading of the wire: every event that the service can write becomes a typed one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.client import (
    Done,
    Final,
    Latency,
    Partial,
    Ready,
    ServerError,
    SpeechStarted,
    SpeechStopped,
    TurnEnded,
    TurnEndedEarly,
    TurnResumed,
    UnexpectedMessageError,
    Usage,
    Warned,
    Word,
)
from shared import events
from voxtral_client.messages import decoded, parse_event

positions = st.integers(0, 10**10)
wire_words = st.tuples(st.builds(events.Word, st.text(max_size=8), positions, positions))


@given(st.text(max_size=20), positions, positions, wire_words, st.sampled_from(["en", None]))
def test_parse_event_reads_what_the_service_writes(
    text: str, start: int, end: int, words: tuple[events.Word, ...], language: str | None
) -> None:
    event = events.Event(
        events.EventType.FINAL,
        "s",
        7,
        segment=2,
        text=text,
        start_samples=start,
        end_samples=end,
        words=words,
        language=language,
        latency=events.Latency(1.0, 2.0, 3.0),
    )

    final = parse_event(event.to_wire())

    assert isinstance(final, Final)
    assert (final.seq, final.segment, final.text, final.language) == (7, 2, text, language)
    assert (final.start_s, final.end_s) == (events.seconds(start), events.seconds(end))
    assert [word.text for word in final.words] == [word.text for word in words]
    assert final.latency == Latency(1.0, 2.0, 3.0)


@given(st.text(min_size=1, max_size=20), wire_words, st.booleans())
def test_partial_reports_its_committed_text(text: str, words: tuple[events.Word, ...], wants_words: bool) -> None:
    committed = events.CommittedText(text, words if wants_words else None)
    event = events.Event(events.EventType.PARTIAL, "s", 7, segment=2, text=f"{text} and more", committed=committed)

    partial = parse_event(event.to_wire())

    assert isinstance(partial, Partial)
    assert partial.committed.text == text
    assert [word.text for word in partial.committed.words] == [word.text for word in words if wants_words]


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        (
            {"type": "ready", "session_id": "s", "seq": 1, "model": "m", "resume_token": "t"},
            Ready("s", 1, "m", "t", resume_timeout_s=30.0),  # an older server does not tell it
        ),
        (
            {"type": "ready", "session_id": "s", "seq": 1, "model": "m", "resume_token": "t", "resume_timeout_s": 45},
            Ready("s", 1, "m", "t", resume_timeout_s=45),
        ),
        (
            {"type": "partial", "seq": 2, "segment": 0, "text": "a", "start": 0.5, "end": 1.0},
            Partial(2, 0, "a", 0.5, 1.0, None),
        ),
        (
            {
                "type": "final",
                "seq": 3,
                "segment": 0,
                "text": "A.",
                "start": 0,
                "end": 1,
                "words": [{"text": "A.", "start": 0, "end": 1}],
            },
            Final(3, 0, "A.", 0, 1, (Word("A.", 0, 1),), None, None),
        ),
        (
            {
                "type": "final",
                "seq": 3,
                "segment": 0,
                "text": "Yes.",
                "start": 0,
                "end": 1,
                "usage": {"prompt_tokens": 380, "completion_tokens": 2, "truncated": True, "of a later version": 1},
            },
            Final(3, 0, "Yes.", 0, 1, (), None, None, Usage(380, 2, truncated=True)),
        ),
        ({"type": "speech_started", "seq": 4, "start": 2.0}, SpeechStarted(4, 2.0)),
        ({"type": "speech_stopped", "seq": 5, "end": 3.0}, SpeechStopped(5, 3.0)),
        (
            {"type": "turn_ended", "seq": 6, "end": 3.0, "decided_at": 3.2, "reason": "finished", "probability": 0.9},
            TurnEnded(6, 3.0, 3.2, "finished", 0.9),
        ),
        (
            {"type": "turn_ended", "seq": 6, "end": 3.0, "decided_at": 3.2, "reason": "commit", "channel": 1},
            TurnEnded(6, 3.0, 3.2, "commit", None, channel=1),
        ),
        (
            {"type": "turn_ended_early", "seq": 6, "end": 3.0, "decided_at": 3.2, "probability": 0.6},
            TurnEndedEarly(6, 3.0, 3.2, 0.6),
        ),
        (
            {"type": "turn_ended_early", "seq": 6, "end": 3.0, "decided_at": 3.2, "probability": 0.6, "channel": 1},
            TurnEndedEarly(6, 3.0, 3.2, 0.6, channel=1),
        ),
        ({"type": "turn_resumed", "seq": 6, "start": 3.5}, TurnResumed(6, 3.5)),
        ({"type": "turn_resumed", "seq": 6, "start": 3.5, "channel": 0}, TurnResumed(6, 3.5, channel=0)),
        ({"type": "warning", "seq": 6, "code": "c", "message": "Mind."}, Warned(6, "c", "Mind.")),
        ({"type": "done", "seq": 7, "text": "A.", "duration": 4.0}, Done(7, "A.", 4.0)),
        ({"type": "of a later version", "seq": 8}, None),
    ],
)
def test_parse_event_knows_each_type(wire: dict, event: object) -> None:
    assert parse_event(wire) == event


def test_parse_event_raises_the_servers_error_with_its_fields() -> None:
    wire = {"type": "error", "code": "server_busy", "message": "Every slot is taken.", "retry_after_s": 2.0}

    with pytest.raises(ServerError, match=r"Every slot is taken\.") as raised:
        parse_event(wire)

    assert (raised.value.code, raised.value.retry_after_s) == ("server_busy", 2.0)


@pytest.mark.parametrize("wire", [{"type": "final"}, {"type": "final", "seq": 1, "segment": 0, "text": "", "words": 3}])
def test_parse_event_rejects_an_event_without_its_fields(wire: dict) -> None:
    with pytest.raises(UnexpectedMessageError):
        parse_event(wire)


@pytest.mark.parametrize("message", ["", "[]", "1", b"\x00\x01", '{"a"'])
def test_decoded_rejects_messages_that_are_not_objects(message: str | bytes) -> None:
    with pytest.raises(UnexpectedMessageError):
        decoded(message)
