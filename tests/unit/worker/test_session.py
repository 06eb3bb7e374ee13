"""The worker's bookkeeping of one session: outputs become events, positions become checkpoints."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from shared.bus.ownership import Owner, Settled
from shared.errors import IdleTimeoutError
from shared.events import SAMPLE_RATE_HZ, Scores, Word
from shared.session_options import SessionOptions
from tests.unit.worker import claimed_sessions
from worker.engines.base import (
    Committed,
    Final,
    Finished,
    Partial,
    SpeechStarted,
    SpeechStopped,
    TurnEnded,
    TurnEndedEarly,
    TurnResumed,
)
from worker.positions import PROGRESS_SAMPLES
from worker.session import WorkerSession

FIXED_ARGUMENTS = 15
"""Arguments of `write` before the events; the last of them is the answered commit."""
LIMITS = {"idle_timeout_s": 60.0, "resume_timeout_s": 30.0}


def claimed(**changes: Any) -> WorkerSession:
    owner = Owner("abc", "whisper-base", "worker-1", fence=1)
    return claimed_sessions.claimed(**({"owner": owner} | changes))


def final(segment: int, text: str, start: int, end: int) -> Final:
    words = (Word(text, start, end),)
    return Final(
        segment, text, start, end, heard_samples=end, resume_samples=end, words=words, language="en", model_ms=7
    )


def events(session: WorkerSession) -> list[dict]:
    return [orjson.loads(payload) for _, payload in session.outbox]


def test_new_session_says_ready_with_seq_1() -> None:
    assert events(claimed()) == [
        {"type": "ready", "session_id": "abc", "seq": 1, "mode": "transcribe", "model": "whisper-base"}
    ]


def test_session_taken_over_continues_without_ready() -> None:
    session = claimed(seq=7, checkpoint_samples=32_000, segment=2, texts=("One.", "Two."))
    session.take(final(2, "Three.", 32_000, 48_000), 0, 0)
    session.arrived(48_000, 0, 0)
    session.take(Finished(), 0, 0)
    assert [event["seq"] for event in events(session)] == [8, 9]
    assert events(session)[-1]["text"] == "One. Two. Three."
    assert session.last_entry_id == b"32000-0"


def test_texts_without_spaces_are_joined_without_them() -> None:
    session = claimed(seq=7, segment=2, texts=("電車で行きます。", "友達に"))
    session.take(final(2, "会います", 32_000, 48_000), 0, 0)
    session.take(Finished(), 0, 0)
    assert events(session)[-1]["text"] == "電車で行きます。友達に会います"


def test_seq_counts_without_gaps_and_outbox_knows_its_first() -> None:
    session = claimed()
    session.take(SpeechStarted(100), 0, 0)
    first = session.pending()
    session.take(Partial(0, "hello", 100, 1600, 5.0), 0, 0)
    session.take(SpeechStopped(1600), 0, 0)
    assert [event["seq"] for event in events(session)] == [1, 2, 3, 4]
    session.confirm(first)
    assert [event["seq"] for event in events(session)] == [3, 4]
    assert session.pending().first_seq == 3


def test_positions_become_seconds_only_on_the_wire() -> None:
    session = claimed()
    session.take(final(0, "Hello.", SAMPLE_RATE_HZ // 2, 2 * SAMPLE_RATE_HZ), 0, 0)
    wire = events(session)[-1]
    assert (wire["start"], wire["end"]) == (0.5, 2.0)
    assert wire["words"] == [{"text": "Hello.", "start": 0.5, "end": 2.0}]


def test_only_a_protocol_with_turns_hears_of_commits() -> None:
    for turns in (False, True):
        session = claimed(options=SessionOptions(turns=turns))
        session.commit(b"16000-1", SAMPLE_RATE_HZ)
        session.take(Committed(SAMPLE_RATE_HZ), 0, 0)
        found = [(event["type"], event.get("end")) for event in events(session)]
        assert found == [("ready", None), ("committed", 1.0)][: 1 + turns]


def test_new_owner_repeats_no_answer_to_a_commit() -> None:
    """It processes the commits after the checkpoint again, two at the same position among them."""
    options = SessionOptions(turns=True)
    former = claimed(options=options)
    commits = [(b"16000-1", 16_000), (b"16000-2", 16_000), (b"160000-1", 160_000)]
    for entry_id, at_samples in commits:
        assert former.commit(entry_id, at_samples) == former.handles
    former.take(Committed(16_000), 0, 0)
    *_, answered_commit = former.pending().call(1)[1][:FIXED_ARGUMENTS]
    former.take(Committed(16_000), 0, 0)  # it dies before it writes this
    session = claimed(options=options, seq=2, answered_commit=answered_commit)
    for entry_id, at_samples in commits:
        session.commit(entry_id, at_samples)
        session.take(Committed(at_samples), 0, 0)
    assert [(event["type"], event["end"]) for event in events(session)] == [("committed", 1.0), ("committed", 10.0)]


def test_events_about_turns_have_seconds_and_probabilities() -> None:
    session = claimed()
    for output in (
        TurnEndedEarly(16_000, 19_584, 0.61237),
        TurnResumed(24_000),
        TurnEnded(32_000, 35_584, "finished", 0.98765),
        TurnEnded(64_000, 128_000, "silence"),
    ):
        session.take(output, 0, 0)
    about = [
        {k: v for k, v in event.items() if k not in ("session_id", "seq", "mode")} for event in events(session)[1:]
    ]
    assert about == [
        {"type": "turn_ended_early", "end": 1.0, "decided_at": 1.224, "probability": 0.6124},
        {"type": "turn_resumed", "start": 1.5},
        {"type": "turn_ended", "end": 2.0, "decided_at": 2.224, "reason": "finished", "probability": 0.9877},
        {"type": "turn_ended", "end": 4.0, "decided_at": 8.0, "reason": "silence"},
    ]


def test_words_are_left_out_when_not_wanted() -> None:
    session = claimed(options=SessionOptions(words=False))
    session.take(final(0, "Hello.", 0, 1600), 0, 0)
    assert "words" not in events(session)[-1]


def test_latency_counts_from_the_arrival_of_the_last_audio_heard() -> None:
    session = claimed()
    session.arrived(1600, arrived_ms=1000.0, now_s=0)
    session.arrived(3200, arrived_ms=1100.0, now_s=0)
    session.arrived(4800, arrived_ms=1200.0, now_s=0)
    latency = session.take(Partial(0, "hello", 0, heard_samples=3200, model_ms=40.0), 1150.0, 1195.0)
    assert latency is not None
    assert (latency.queue_ms, latency.model_ms, latency.total_ms) == (50.0, 40.0, 95.0)


def test_final_moves_the_checkpoint_and_counts_the_segment() -> None:
    session = claimed()
    session.take(final(0, "Hello.", 0, 16_000), 0, 0)
    assert (session.checkpoint_samples, session.segment) == (16_000, 1)
    assert session.outbox[-1][0] == "f"


@pytest.mark.parametrize("partials", [True, False])
def test_engine_backlog_throttles_reading(partials: bool) -> None:
    session = claimed(options=SessionOptions(partials=partials))
    session.arrived(10 * SAMPLE_RATE_HZ, 0, 0)
    assert session.throttled
    assert session.advance(SAMPLE_RATE_HZ, 0), "it may be read again"
    assert not session.throttled
    assert not session.advance(2 * SAMPLE_RATE_HZ, 0)


def test_recordings_are_read_further_ahead() -> None:
    session = claimed(options=SessionOptions(recording=True, partials=False))
    session.arrived(60 * SAMPLE_RATE_HZ, 0, 0)
    assert session.throttled
    assert session.advance(SAMPLE_RATE_HZ, 0), "it may be read again"
    assert not session.throttled
    assert not session.advance(2 * SAMPLE_RATE_HZ, 0)


def test_progress_is_due_every_five_seconds_of_audio() -> None:
    session = claimed()
    session.advance(5 * SAMPLE_RATE_HZ - 1, 0)
    assert not session.progress_due
    session.advance(5 * SAMPLE_RATE_HZ, 0)
    assert session.progress_due


def test_progress_is_due_as_often_as_the_options_ask() -> None:
    session = claimed(options=SessionOptions(progress_ms=500))
    session.advance(7999, 0)
    assert not session.progress_due
    session.advance(8000, 0)
    assert session.progress_due


def test_lag_is_the_arrival_of_the_oldest_audio_not_absorbed() -> None:
    session = claimed()
    assert session.waiting_since_ms() is None
    session.arrived(1600, 1000.0, 0)
    session.arrived(3200, 1100.0, 0)
    session.advance(1600, 1600)
    assert session.waiting_since_ms() == 1100.0


@pytest.mark.parametrize(
    ("happens", "after_s", "idle"),
    [
        ([], 60.0, False),
        ([], 60.1, True),
        ([("detach", 5.0)], 35.0, False),
        ([("detach", 5.0)], 35.1, True),
        ([("detach", 5.0), ("attach",)], 35.1, False),
        ([("detach", 5.0), ("reset_idle_times", 10.0)], 40.0, False),
        ([("detach", 5.0), ("reset_idle_times", 10.0)], 40.1, True),
        ([("reset_idle_times", 10.0)], 70.0, False),
        ([("heard", 10.0)], 70.0, False),
        ([("heard", 10.0)], 70.1, True),
        ([("arrived", 3200, 0.0, 0.0)], 1000.0, False),
        ([("finish",)], 1000.0, False),
        ([("finish",), ("detach", 5.0)], 1000.0, False),
        ([("take", Finished(), 0, 0)], 1000.0, False),
    ],
    ids=str,
)
def test_session_is_idle_when_the_client_is_silent_and_the_model_is_done(
    happens: list[tuple[Any, ...]], after_s: float, idle: bool
) -> None:
    session = claimed()
    session.arrived(1600, arrived_ms=0.0, now_s=0.0)
    session.advance(1600, 0)
    for name, *arguments in happens:
        getattr(session, name)(*arguments)
    assert (session.exceeded_s(after_s, **LIMITS) is not None) is idle


def test_session_without_its_client_is_kept_for_the_time_that_the_client_was_told() -> None:
    session = claimed()
    session.detach(0.0)
    limits = {"idle_timeout_s": 4.0, "resume_timeout_s": 100.0}
    assert session.exceeded_s(100.0, **limits) is None
    assert session.exceeded_s(100.1, **limits) == 100.0
    session.attach()
    session.heard(101.0)
    assert session.exceeded_s(105.0, **limits) is None
    assert session.exceeded_s(105.1, **limits) == 4.0


@pytest.mark.parametrize("ending", ["done", "failed"])
def test_nothing_follows_the_last_event(ending: str) -> None:
    session = claimed()
    if ending == "done":
        session.take(Finished(), 0, 0)
    else:
        session.fail(IdleTimeoutError(60))
    count = len(session.outbox)
    session.take(Partial(0, "late", 0, 1600, 1.0), 0, 0)
    session.fail(IdleTimeoutError(60))
    assert len(session.outbox) == count
    assert session.ending == ending


def test_failure_is_an_error_event_with_its_code() -> None:
    session = claimed()
    session.fail(IdleTimeoutError(60))
    wire = events(session)[-1]
    assert (wire["type"], wire["code"], wire["message"]) == ("error", "idle_timeout", "Nothing was received for 60 s.")


def test_options_settle_when_the_checkpoint_passes_them() -> None:
    session = claimed()
    session.configure(SessionOptions(language="en"), b"first", 1600)
    session.configure(SessionOptions(language="fr"), b"second", 1600)
    session.configure(SessionOptions(language="de"), b"third", 3200)
    assert session.options.language == "de"
    session.advance(PROGRESS_SAMPLES, 0)
    assert session.pending().settled == Settled(0, 0, None)
    session.take(final(0, "Hello.", 0, 1600), 0, 0)
    pending = session.pending()
    assert pending.settled == Settled(1600, 1, b"second")
    session.configure(SessionOptions(language="it"), b"fourth", 3200)
    session.confirm(pending)
    session.advance(2 * PROGRESS_SAMPLES, 16_000)
    assert session.pending().settled == Settled(16_000, 1, b"fourth")


def test_options_that_come_while_the_checkpoint_is_written_are_not_lost() -> None:
    session = claimed()
    session.take(final(0, "Hello.", 0, 1600), 0, 0)
    pending = session.pending()
    session.configure(SessionOptions(language="fr"), b"late", 1600)
    session.confirm(pending)
    session.advance(PROGRESS_SAMPLES, 3200)
    pending = session.pending()
    assert pending.settled == Settled(3200, 1, b"late")
    session.confirm(pending)
    session.advance(2 * PROGRESS_SAMPLES, 3200)
    assert session.pending().settled == Settled(3200, 1, None)


def test_handle_tells_two_claims_of_one_session_apart() -> None:
    second = claimed(owner=Owner("abc", "whisper-base", "worker-1", fence=2))
    assert (claimed().handle, second.handle) == ("abc/1", "abc/2")


def test_outcome_says_whether_a_session_was_given_or_taken() -> None:
    session = claimed()
    assert session.summary()["outcome"] == "taken over"
    assert {"key_name", "model", "language", "audio_s"} <= session.summary().keys()
    session.offered()
    assert session.summary()["outcome"] == "handed over"


def test_confidence_of_words_and_finals_is_on_the_wire_if_it_is_known() -> None:
    session = claimed()
    session.take(replace(final(0, "Hello.", 0, 1600), words=(Word("Hello.", 0, 1600, 0.98765),)), 0, 0)
    session.take(replace(final(1, "Bye.", 1600, 3200), scores=Scores(0.9, no_speech_prob=0.01)), 0, 0)
    first, second = events(session)[-2:]
    assert first["words"] == [{"text": "Hello.", "start": 0.0, "end": 0.1, "confidence": 0.9877}]
    assert "confidence" not in first
    assert "confidence" not in second["words"][0]
    assert (second["confidence"], second["no_speech_prob"]) == (0.9, 0.01)
    assert "avg_logprob" not in second
