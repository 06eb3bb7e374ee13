"""The bookkeeping of a session with a track for each channel: one log, and a state that a new owner continues."""

from typing import Any

import numpy as np
import orjson
import pytest

from shared.bus.ownership import Owner
from shared.errors import InvalidAudioError
from shared.events import SAMPLE_RATE_HZ, Word
from shared.session_options import SessionOptions
from worker.channels.session import ChannelSession
from worker.claiming import claimed
from worker.commitment import Commitment
from worker.engines.base import Committed, Failed, Final, Finished, Notice, Output, Partial, SpeechStarted

S = SAMPLE_RATE_HZ


class Service:
    """Redis, as far as a session needs it: what its owners have written, and what the next owner gets."""

    def __init__(self, **options: Any) -> None:
        self.options = SessionOptions(**{"channels": 2} | options)
        self.events: list[dict[str, Any]] = []
        self.held = {b"checkpoint": b"0", b"segment": b"0", b"seq": b"0"}
        self.fence = 0
        self.session = self.claim()

    def claim(self) -> ChannelSession:
        """Another worker takes the session. What the former one has not written is lost."""
        self.fence += 1
        held = self.held | {b"options": orjson.dumps(self.options.to_wire())}
        finals = [event for event in self.events if event["type"] == "final"]
        session = claimed(Owner("s1", "echo", "w", self.fence), held, finals, 0.0, 0)
        assert isinstance(session, ChannelSession)
        self.session = session
        return session

    def write(self) -> None:
        """Store everything that is pending, as the script does."""
        said = self.session.pending()
        self.events += [orjson.loads(payload) for _, payload in said.events]
        if said.events:
            self.held[b"answered"] = said.answered_commit
            self.held[b"seq"] = str(len(self.events)).encode()
            if said.committed is not None:
                self.held[b"committed"] = said.committed.encoded()
        if said.settled is not None:
            self.held[b"checkpoint"] = str(said.settled.checkpoint_samples).encode()
            self.held[b"segment"] = str(said.settled.segment).encode()
        self.session.confirm(said)

    def take(self, channel: int, *outputs: Output) -> None:
        for output in outputs:
            self.session.take(output, 0, 0, self.session.handles[channel])
        self.write()

    def finals(self) -> list[tuple[int, int, str]]:
        return [(one["segment"], one["channel"], one["text"]) for one in self.events if one["type"] == "final"]


def partial(segment: int, text: str, start: int = 0, committed: str = "") -> Partial:
    return Partial(segment, text, start, start + S, 1.0, committed)


def final(segment: int, text: str, start: int, end: int) -> Final:
    word = Word(text, start, end)
    return Final(
        segment, text, start, end, heard_samples=end, resume_samples=end, words=(word,), language=None, model_ms=1
    )


def test_segments_of_all_channels_share_one_numbering() -> None:
    service = Service()
    service.take(0, SpeechStarted(0), partial(0, "Hello"))
    service.take(1, partial(0, "Good"))
    service.take(0, final(0, "Hello.", 0, S))
    service.take(1, final(0, "Good morning.", S, 2 * S), partial(1, "How"))
    service.take(0, partial(1, "Thanks"))
    found = [(one["type"], one.get("segment"), one.get("channel")) for one in service.events]
    assert found == [
        ("ready", None, None),
        ("speech_started", None, 0),
        ("partial", 0, 0),
        ("partial", 1, 1),
        ("final", 0, 0),
        ("final", 1, 1),
        ("partial", 2, 1),
        ("partial", 3, 0),
    ]
    assert [one["seq"] for one in service.events] == list(range(1, 9))


def test_session_is_done_when_all_channels_are_and_its_text_is_a_dialogue() -> None:
    service = Service()
    service.take(1, final(0, "Fine.", 3 * S, 4 * S), final(1, "And you?", 4 * S, 5 * S), Finished())
    assert service.session.ending is None
    service.session.arrived(6 * S, 0, 0)
    service.take(0, final(0, "How are you?", S, 2 * S), final(1, "Well.", 5 * S, 6 * S), Finished())
    done = service.events[-1]
    assert (done["type"], done["text"]) == ("done", "How are you?\nFine. And you?\nWell.")
    assert done["duration"] == 6.0
    assert "channel" not in done


def test_audio_is_divided_and_each_channel_starts_at_its_own_checkpoint() -> None:
    service = Service()
    service.take(0, final(0, "Hello.", 0, S))
    session = service.claim()
    pcm = np.arange(4 * S, dtype="<i2").reshape(-1, 2)
    parts = dict(session.parts(S + S // 2, pcm[: 3 * S // 2].tobytes()))
    assert [one.checkpoint_samples for one in session.openings] == [S, 0]
    assert [len(parts[handle]) for handle in session.handles] == [S // 2, 3 * S // 2]
    assert np.array_equal(parts[session.handles[1]] * 32768, pcm[: 3 * S // 2, 1])
    assert np.array_equal(parts[session.handles[0]] * 32768, pcm[S : 3 * S // 2, 0])
    session.arrived(3 * S // 2, 0, 0)
    assert [len(part) for _, part in session.parts(2 * S, pcm[:S].tobytes())] == [S // 2, S // 2]


def test_new_owner_continues_the_committed_text_of_both_channels() -> None:
    """Segments of both are open, with numbers that clients know."""
    service = Service()
    service.take(0, final(0, "Yes.", 0, S), partial(1, "We will", S, "We"))
    service.take(1, partial(0, "I think so", 0, "I think"))
    known = {one["segment"]: one["channel"] for one in service.events if one["type"] == "partial"}
    session = service.claim()
    assert [(one.checkpoint_samples, one.segment, one.committed.text) for one in session.openings] == [
        (S, 1, "We"),
        (0, 0, "I think"),
    ]
    service.take(1, final(0, "I think no.", 0, 3 * S), final(1, "Well.", 4 * S, 5 * S), Finished())
    service.take(0, final(1, "We shall.", S, 2 * S), Finished())
    assert service.finals() == [(0, 0, "Yes."), (2, 1, "I think no."), (3, 1, "Well."), (1, 0, "We shall.")]
    assert all(known.get(segment, channel) == channel for segment, channel, _ in service.finals())
    assert service.events[-1]["text"] == "Yes.\nI think no.\nWe shall.\nWell."


def test_committed_text_without_speech_becomes_final_with_its_number() -> None:
    service = Service()
    service.take(1, partial(0, "Good day", 0, "Good day"))
    service.claim()
    service.take(0, Finished())
    service.take(1, Finished())
    assert service.finals() == [(0, 1, "Good day")]


def test_nothing_that_was_not_written_is_lost_or_repeated() -> None:
    service = Service()
    service.take(0, final(0, "One.", 0, S))
    session = service.session
    session.take(final(1, "Two.", S, 2 * S), 0, 0, session.handles[0])  # it dies before it writes this
    session = service.claim()
    assert [one.checkpoint_samples for one in session.openings] == [S, 0]
    service.take(0, final(1, "Two.", S, 2 * S))
    assert [text for *_, text in service.finals()] == ["One.", "Two."]


def test_checkpoint_and_position_are_those_of_the_slowest_channel() -> None:
    service = Service()
    session = service.session
    session.arrived(29 * S, 0, 0)
    session.advance(20 * S, 18 * S, session.handles[0])
    assert (session.absorbed_samples, session.checkpoint_samples, session.throttled) == (0, 0, True)
    assert not session.advance(5 * S, 4 * S, session.handles[1])
    assert (session.absorbed_samples, session.checkpoint_samples) == (5 * S, 4 * S)
    assert session.advance(25 * S, 4 * S, session.handles[1])
    assert session.absorbed_samples == 20 * S


def test_commit_is_answered_when_all_channels_have_answered() -> None:
    service = Service(turns=True)
    session = service.session
    assert session.commit(b"16000-1", S) == session.handles
    assert session.commit(b"32000-1", 2 * S) == session.handles
    service.take(0, final(0, "Yes.", 0, S), Committed(S), Committed(2 * S))
    assert "committed" not in [one["type"] for one in service.events]
    service.take(1, Committed(S))
    service.take(1, Committed(2 * S))
    assert [one["end"] for one in service.events if one["type"] == "committed"] == [1.0, 2.0]


def test_new_owner_repeats_no_answer_to_a_commit() -> None:
    service = Service(turns=True)
    for _ in range(2):
        service.session.commit(b"16000-1", S)
        for channel in (0, 1):
            service.take(channel, Committed(S))
        assert [one["type"] for one in service.events].count("committed") == 1
        service.claim()


@pytest.mark.parametrize("recording", [False, True])
def test_text_after_a_commit_follows_its_answer(recording: bool) -> None:
    """Dialects take the text before it for that of the audio before the commit."""
    service = Service(turns=True, recording=recording)
    service.session.commit(b"32000-1", 2 * S)
    service.take(1, final(0, "One.", S, 2 * S), Committed(2 * S), final(1, "Three.", 2 * S, 3 * S), Finished())
    service.take(0, final(0, "Two.", S, 2 * S), Committed(2 * S), Finished())
    texts = [event.get("text", event["type"]) for event in service.events[1:]]
    assert texts == [*(["Two.", "One."] if recording else ["One.", "Two."]), "committed", "Three.", texts[-1]]
    assert service.events[-1]["type"] == "done"


def test_commit_before_the_checkpoint_of_a_channel_waits_only_for_the_others() -> None:
    service = Service(turns=True)
    service.take(0, final(0, "Yes.", 0, 2 * S))
    session = service.claim()
    assert session.commit(b"16000-1", S) == (session.handles[1],)
    service.take(1, Committed(S))
    assert service.events[-1]["type"] == "committed"


def test_warning_of_all_channels_is_sent_once_and_failure_of_one_ends_the_session() -> None:
    service = Service()
    for channel in (0, 1):
        service.take(channel, Notice("prompt_cut", "The prompt is cut."))
    service.take(1, Failed(InvalidAudioError("Too long.")))
    service.take(0, final(0, "Later.", 0, S))
    assert [one["type"] for one in service.events] == ["ready", "warning", "error"]


def test_options_of_text_apply_to_each_channel() -> None:
    service = Service(language="en")
    options = SessionOptions(language="en", numerals=True)
    service.session.configure(options, orjson.dumps(options.to_wire()), 0)
    assert service.session.options.channels == 2
    for channel in (0, 1):
        service.take(channel, final(0, "It costs twenty-five pounds.", 0, S))
    assert [text for *_, text in service.finals()] == ["It costs 25 pounds."] * 2


def test_finals_of_a_recording_are_in_order_and_held_ones_are_not_settled() -> None:
    """One channel may be decoded far ahead of the other."""
    service = Service(recording=True, partials=False)
    session = service.session
    session.arrived(60 * S, 0, 0)
    service.take(0, final(0, "One.", S, 2 * S), final(1, "Three.", 20 * S, 21 * S))
    session.advance(60 * S, 50 * S, session.handles[0])
    assert service.finals() == []
    session.advance(10 * S, 10 * S, session.handles[1])
    assert session.is_due
    service.write()
    assert [text for *_, text in service.finals()] == ["One."]
    assert [one.checkpoint_samples for one in service.claim().openings] == [2 * S, 10 * S]
    service.take(1, final(0, "Two.", 10 * S, 11 * S), Finished())
    service.take(0, final(1, "Three.", 20 * S, 21 * S), Finished())
    assert [text for *_, text in service.finals()] == ["One.", "Two.", "Three."]


@pytest.mark.parametrize("channels", [1, 4])
def test_every_number_of_channels(channels: int) -> None:
    service = Service(channels=channels)
    assert service.session.slots == channels == len(set(service.session.handles))
    for channel in range(channels):
        service.take(channel, final(0, f"{channel}", channel * S, (channel + 1) * S), Finished())
    assert [number for number, _, _ in service.finals()] == list(range(channels))
    assert service.events[-1]["type"] == "done"


def test_session_without_separate_channels_has_one_handle_and_names_no_channel() -> None:
    held = {b"checkpoint": b"0", b"segment": b"0", b"seq": b"0", b"options": orjson.dumps(SessionOptions().to_wire())}
    held[b"committed"] = Commitment(0, "Good").encoded()
    session = claimed(Owner("s1", "echo", "w", 1), held, (), 0.0, 0)
    assert not isinstance(session, ChannelSession)
    assert [(one.handle, one.committed.text) for one in session.openings] == [("s1/1", "Good")]
    session.take(final(0, "Good.", 0, S), 0, 0)
    assert "channel" not in orjson.loads(session.outbox[-1][1])
