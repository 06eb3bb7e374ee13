"""Segments that wait for their answers, and everything that comes after them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import SAMPLE_RATE_HZ
from shared.turn_detection import TurnDetection
from tests.unit.worker.engines.whisper.test_live_turns import Sure
from worker.engines.base import (
    Committed,
    Final,
    Finished,
    Notice,
    Output,
    SpeechStarted,
    SpeechStopped,
    TurnEnded,
    TurnEndedEarly,
)
from worker.engines.speech.boundaries import Closed, Opened, SegmenterSettings
from worker.engines.speech.segment_queue import MIN_PASS_SAMPLES, Kind, SegmentQueue
from worker.engines.speech.vad import WINDOW_SAMPLES
from worker.turns.judge import TurnJudge

SETTINGS = SegmenterSettings(max_segment_s=60.0)
SPEECH, QUIET = 0.9, 0.0
ENDPOINT_WINDOWS = SETTINGS.endpoint_ms * SAMPLE_RATE_HZ // 1000 // WINDOW_SAMPLES
NOTICE = Notice("told", "Something.")


def queue(start_samples: int = 0) -> SegmentQueue:
    return SegmentQueue(SETTINGS, start_samples)


def hear(one: SegmentQueue, *parts: tuple[float, int]) -> list[Opened | Closed | Committed]:
    """Feed windows and hear them: so many of each probability."""
    probabilities = np.concatenate([np.full(count, probability, np.float32) for probability, count in parts])
    one.endpointing.audio.append(np.zeros(len(probabilities) * WINDOW_SAMPLES, np.float32))
    return list(one.hear(probabilities))


def spoken(one: SegmentQueue, windows: int = 30) -> Closed:
    """A segment that ends with a pause."""
    closed = hear(one, (SPEECH, windows), (QUIET, ENDPOINT_WINDOWS))[-1]
    assert isinstance(closed, Closed)
    return closed


def final(segment: int, closed: Closed) -> Final:
    start, end = closed.start_samples, closed.end_samples
    return Final(segment, "text", start, end, end, end, (), None, 0.0)


def kinds(outputs: list[Output]) -> list[type]:
    return [type(output) for output in outputs]


def test_outputs_wait_for_the_answer_of_the_segment_before_them() -> None:
    one = queue()
    closed = spoken(one)
    one.put(NOTICE)
    assert kinds(one.take()) == [SpeechStarted, SpeechStopped]
    assert not one.has_outputs
    assert one.take() == []
    answer = final(0, closed)
    one.answer(closed, answer)
    assert one.has_outputs
    assert one.take() == [answer, NOTICE]
    assert not one.has_outputs


def test_segments_are_answered_in_any_order_and_sent_in_theirs() -> None:
    one = queue()
    first, second = spoken(one), spoken(one)
    assert one.all_unanswered == [first, second]
    assert one.unanswered == first
    one.take()
    one.answer(second, final(1, second))
    assert one.all_unanswered == [first]
    assert one.take() == []
    one.answer(first)
    assert kinds(one.take()) == [SpeechStarted, SpeechStopped, Final]
    assert one.unanswered is None


def test_boundary_is_seen_when_its_outputs_are_here() -> None:
    """A session may answer a segment at once, while others are still being found."""
    one = queue()
    one.endpointing.audio.append(np.zeros(200 * WINDOW_SAMPLES, np.float32))
    windows = np.concatenate([np.full(40, SPEECH), np.full(ENDPOINT_WINDOWS, QUIET)] * 2).astype(np.float32)
    seen = []
    for boundary in one.hear(windows):
        seen.append((type(boundary), kinds(one.take())))
        if isinstance(boundary, Closed):
            one.answer(boundary, final(0, boundary))
    assert seen == [
        (Opened, [SpeechStarted]),
        (Closed, [SpeechStopped]),
        (Opened, [Final, SpeechStarted]),
        (Closed, [SpeechStopped]),
    ]
    assert kinds(one.take()) == [Final]


def test_commit_and_end_come_after_the_segments_before_them() -> None:
    one = queue()
    hear(one, (SPEECH, 20))
    one.endpointing.commit()
    found = list(one.hear(np.empty(0, np.float32)))
    assert kinds(found) == [Closed, Committed]
    one.endpointing.finish()
    assert list(one.hear(np.empty(0, np.float32))) == []
    assert kinds(one.take()) == [SpeechStarted, SpeechStopped]
    closed = one.unanswered
    assert closed
    one.answer(closed)
    assert one.take() == [Committed(closed.end_samples), Finished()]


def test_cut_speech_neither_stops_nor_starts() -> None:
    one = queue()
    hear(one, (SPEECH, 50), (QUIET, 3), (SPEECH, 20))
    one.take()
    closed, opened = one.cut()
    assert isinstance(closed, Closed)
    assert isinstance(opened, Opened)
    assert (closed.speech_goes_on, opened.after_cut) == (True, True)
    one.answer(closed)
    assert one.take() == []


@pytest.mark.parametrize("last_part_first", [False, True])
def test_turn_that_was_cut_ends_unless_nothing_was_said_in_any_part(last_part_first: bool) -> None:
    one = SegmentQueue(SETTINGS, 0, TurnDetection("pause"))
    for said in (True, False):
        hear(one, (SPEECH, 50), (QUIET, 3), (SPEECH, 20))
        list(one.cut())
        hear(one, (QUIET, ENDPOINT_WINDOWS))
        first, last = one.all_unanswered
        answers = [(first, [final(0, first)] if said else []), (last, [])]
        for closed, outputs in reversed(answers) if last_part_first else answers:
            one.answer(closed, *outputs)
        assert kinds(one.take()) == [SpeechStarted, *([Final, SpeechStopped, TurnEnded] if said else [SpeechStopped])]


def test_turn_ends_without_words_if_clients_were_notified_of_its_early_end() -> None:
    detection = TurnDetection("semantic", end_threshold=0.9, early_threshold=0.5, max_silence_ms=1000)
    one = SegmentQueue(SETTINGS, 0, detection, TurnJudge(Sure(0.7)))
    for probability in [SPEECH] * 30 + [QUIET] * 40:
        hear(one, (probability, 1))
    [closed] = one.all_unanswered
    one.answer(closed)
    assert kinds(one.take()) == [SpeechStarted, TurnEndedEarly, SpeechStopped, TurnEnded]


def test_open_segment_is_decoded_as_it_grows_and_in_its_pause() -> None:
    one = queue()
    long_windows = MIN_PASS_SAMPLES // WINDOW_SAMPLES + 1

    def due(heard_samples: int = 0, new_samples: float = 0) -> tuple[Kind, int] | None:
        start = one.endpointing.segmenter.start_samples or 0
        return one.open_pass(from_samples=start, heard_samples=heard_samples, new_samples=new_samples)

    assert due() is None, "no segment is open"
    hear(one, (SPEECH, 5))
    assert due() is None, "too short"
    hear(one, (SPEECH, long_windows))
    end = one.endpointing.segmenter.position_samples
    assert due() == (Kind.PARTIAL, end)
    assert due(heard_samples=end) is None, "no speech since then"
    assert due(heard_samples=end - 1000, new_samples=1000) == (Kind.PARTIAL, end)
    assert due(heard_samples=end - 1000, new_samples=1001) is None
    assert due(new_samples=float("inf")) is None
    hear(one, (QUIET, 8))
    closing = due(heard_samples=end, new_samples=float("inf"))
    assert closing == (Kind.CLOSING, end + SETTINGS.post_roll_ms * SAMPLE_RATE_HZ // 1000)
    closed = spoken(one, windows=0)
    assert closed.end_samples == closing[1], "the pause was decoded as the final is"


def test_positions_follow_the_first_segment_without_an_answer() -> None:
    one = queue(start_samples=WINDOW_SAMPLES)
    one.endpointing.audio.append(np.zeros(100, np.float32))
    assert one.checkpoint_samples == WINDOW_SAMPLES
    assert one.answered_samples(0, waits_for_more=False) == WINDOW_SAMPLES, "what is silence is answered"
    first, second = spoken(one), spoken(one)
    position = one.endpointing.segmenter.position_samples
    assert one.checkpoint_samples == first.start_samples
    for heard, answered in ((0, first.start_samples), (first.start_samples + 5, first.start_samples + 5)):
        assert one.answered_samples(heard, waits_for_more=False) == answered
    assert one.answered_samples(position, waits_for_more=True) == first.end_samples
    one.answer(first)
    assert one.checkpoint_samples == second.start_samples
    one.answer(second)
    assert second.end_samples <= one.checkpoint_samples <= position
    hear(one, (SPEECH, 20))
    start, position = one.endpointing.segmenter.start_samples, one.endpointing.segmenter.position_samples
    assert one.checkpoint_samples == start
    assert one.answered_samples(start or 0, waits_for_more=False) == start
    assert one.answered_samples(start or 0, waits_for_more=True) == position


def test_audio_that_waits_for_more_is_absorbed() -> None:
    one = queue()
    one.endpointing.audio.append(np.zeros(700, np.float32))
    assert one.absorbed_samples(300, is_behind=True) == 300
    assert one.absorbed_samples(300, is_behind=False) == 700


@given(windows=st.lists(st.tuples(st.sampled_from([SPEECH, QUIET]), st.integers(1, 40)), min_size=1, max_size=12))
@pytest.mark.parametrize("answers_late", [False, True])
def test_outputs_are_the_same_however_late_the_answers_are(
    answers_late: bool, windows: list[tuple[float, int]]
) -> None:
    one, outputs, number = queue(), list[Output](), 0
    closed: list[Closed] = []

    def answer_all() -> None:
        nonlocal number
        for segment in closed:
            one.answer(segment, final(number, segment))
            number += 1
        closed.clear()

    checkpoint = 0
    for part in windows:
        closed += [found for found in hear(one, part) if isinstance(found, Closed)]
        assert one.checkpoint_samples >= checkpoint
        checkpoint = one.checkpoint_samples
        if not answers_late:
            answer_all()
        outputs += one.take()
    one.endpointing.finish()
    closed += [found for found in one.hear(np.empty(0, np.float32)) if isinstance(found, Closed)]
    answer_all()
    outputs += one.take()
    segments = [(SpeechStarted, SpeechStopped, Final)] * number
    assert kinds(outputs) == [kind for segment in segments for kind in segment] + [Finished]
    assert one.all_unanswered == []
