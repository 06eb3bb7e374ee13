"""Segments that end by the answers to questions about their pauses."""

from concurrent.futures import Executor, Future
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import SAMPLES_PER_MS
from shared.turn_detection import TurnDetection
from worker.engines.base import TurnEndedEarly, TurnResumed
from worker.engines.speech.boundaries import (
    Closed,
    EndReason,
    Found,
    Opened,
    Question,
    SegmenterSettings,
)
from worker.engines.speech.endpointing import Endpointing
from worker.engines.speech.segmenter import Segmenter
from worker.engines.speech.turn_settings import turn_settings
from worker.engines.speech.vad import WINDOW_SAMPLES
from worker.turns.judge import TurnJudge
from worker.turns.rule import TurnRule

RULE = TurnRule((200, 600), ((0.9, 200), (0.5, 500)), max_silence_ms=1000, early_threshold=0.3)
SETTINGS = SegmenterSettings(turn_rule=RULE)
SPEECH, QUIET = 0.9, 0.0


def windows(milliseconds: int) -> int:
    return -(-milliseconds * SAMPLES_PER_MS // WINDOW_SAMPLES)


def push(segmenter: Segmenter, probability: float, count: int) -> list[Found]:
    """Push windows up to the next question at most, and require that this is asked with the last one if at all."""
    found: list[Found] = []
    for _ in range(count):
        found += segmenter.push(probability)
        if segmenter.question:
            return found
    return found


def in_pause() -> Segmenter:
    """After a second of speech, at the first question."""
    segmenter = Segmenter(SETTINGS)
    push(segmenter, SPEECH, 30)
    push(segmenter, QUIET, windows(200))
    assert segmenter.question == Question(0, (30 + windows(200)) * WINDOW_SAMPLES)
    return segmenter


def test_finished_speech_ends_its_segment_at_once() -> None:
    [closed] = in_pause().judge(0.95)
    assert isinstance(closed, Closed)
    assert closed.speech_end_samples == 30 * WINDOW_SAMPLES
    assert closed.decided_samples == closed.end_samples + (windows(200) - 6) * WINDOW_SAMPLES
    assert (closed.reason, closed.probability) == (EndReason.FINISHED, 0.95)


def test_unfinished_speech_is_asked_about_again_and_ends_at_the_longest_silence() -> None:
    segmenter = in_pause()
    assert segmenter.judge(0.1) == []
    assert push(segmenter, QUIET, 100) == []
    assert segmenter.question == Question(0, (30 + windows(600)) * WINDOW_SAMPLES)
    assert segmenter.judge(0.2) == []
    [closed] = push(segmenter, QUIET, windows(1000) - windows(600))
    assert isinstance(closed, Closed)
    assert (closed.reason, closed.probability) == (EndReason.SILENCE, 0.2)


def test_doubtful_speech_ends_after_a_longer_silence() -> None:
    segmenter = in_pause()
    assert [type(one) for one in segmenter.judge(0.6)] == [TurnEndedEarly]
    [closed] = push(segmenter, QUIET, windows(500) - windows(200))
    assert isinstance(closed, Closed)
    assert (closed.reason, closed.probability) == (EndReason.FINISHED, 0.6)


def test_speech_that_continues_takes_the_early_end_back_and_asks_anew() -> None:
    segmenter = in_pause()
    assert segmenter.judge(0.4) == [TurnEndedEarly(30 * WINDOW_SAMPLES, segmenter.position_samples, 0.4)]
    resumed_at = segmenter.position_samples
    assert push(segmenter, SPEECH, 10) == [TurnResumed(resumed_at)]
    assert push(segmenter, QUIET, 100) == []
    assert segmenter.question is not None
    assert segmenter.question.start_samples == 0


def test_turn_whose_early_end_was_taken_back_was_notified() -> None:
    segmenter = in_pause()
    segmenter.judge(0.4)
    push(segmenter, SPEECH, 10)
    assert segmenter.cut()
    push(segmenter, QUIET, 100)
    segmenter.judge(0.1)
    [closed] = segmenter.commit(segmenter.position_samples)
    assert isinstance(closed, Closed)
    assert closed.was_notified


def test_question_is_about_the_whole_turn_if_a_part_is_answered() -> None:
    segmenter = in_pause()
    segmenter.judge(0.1)
    segmenter.begin_at(20 * WINDOW_SAMPLES)
    assert segmenter.asked_from_samples == 0
    push(segmenter, QUIET, 100)
    assert segmenter.question is not None
    assert segmenter.question.start_samples == 0


def test_question_is_about_the_whole_turn_if_it_was_cut() -> None:
    segmenter = Segmenter(SETTINGS)
    push(segmenter, SPEECH, 60)
    segmenter.cut()
    assert segmenter.asked_from_samples == 0
    push(segmenter, QUIET, windows(200))
    assert segmenter.question == Question(0, segmenter.position_samples)


def test_question_that_is_due_when_the_segment_is_cut_is_asked_after_it() -> None:
    pause = windows(200)
    until_cut = windows(2000)
    segmenter = Segmenter(replace(SETTINGS, max_segment_s=2.0))
    pushed = [SPEECH] * (until_cut - 2 * pause) + [QUIET] * 3 + [SPEECH] * (pause - 3) + [0.2] * pause
    found = [one for probability in pushed for one in segmenter.push(probability)]
    assert [type(one) for one in found] == [Opened, Closed, Opened]
    push(segmenter, QUIET, 1)
    assert segmenter.question == Question(0, segmenter.position_samples)


def test_short_pause_of_a_long_turn_does_not_end_it() -> None:
    segmenter = Segmenter(replace(SETTINGS, max_segment_s=2.0))
    push(segmenter, SPEECH, windows(2000) - 4)
    spoken_samples = segmenter.position_samples
    assert push(segmenter, QUIET, windows(200)) == []
    assert segmenter.question == Question(0, segmenter.position_samples)
    assert segmenter.judge(0.1) == []
    assert push(segmenter, QUIET, 10) == []
    [closed, opened] = push(segmenter, SPEECH, 1)
    assert isinstance(closed, Closed)
    assert closed.speech_goes_on
    assert closed.end_samples == spoken_samples + SETTINGS.post_roll_ms * SAMPLES_PER_MS
    assert opened == Opened(segmenter.position_samples - 5 * WINDOW_SAMPLES // 2, opened.start_samples, after_cut=True)


def test_pause_that_nothing_can_judge_ends_as_without_a_rule() -> None:
    segmenter = in_pause()
    assert segmenter.judge(None) == []
    [closed] = push(segmenter, QUIET, windows(SETTINGS.endpoint_ms) - windows(200))
    assert isinstance(closed, Closed)
    assert (closed.reason, closed.probability) == (EndReason.SILENCE, None)


def test_commit_ends_the_segment_by_itself() -> None:
    segmenter = in_pause()
    segmenter.judge(0.1)
    [closed] = segmenter.commit(segmenter.position_samples)
    assert isinstance(closed, Closed)
    assert closed.reason is EndReason.COMMIT


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.9]), st.integers(1, 60)), max_size=8), st.data())
def test_question_never_comes_before_the_free_windows_are_over(
    runs: list[tuple[float, int]], data: st.DataObject
) -> None:
    segmenter = Segmenter(SETTINGS)
    free = segmenter.free_windows
    for probability, count in runs:
        for _ in range(count):
            assert free is not None
            segmenter.push(probability)
            free -= 1
            if segmenter.question:
                assert free <= 0
                segmenter.judge(data.draw(st.sampled_from([0.1, 0.4, 0.95, None])))
            if free <= 0:
                free = segmenter.free_windows


class Loudness(Executor):
    """Judges a turn by its loudest sample, when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Future[Any], float]] = []

    def submit(self, _call: Any, /, *arguments: Any, **_named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if arguments:
            self.asked.append((future, float(np.abs(arguments[0]).max())))
        return future

    def answer(self) -> None:
        future, level = self.asked.pop()
        future.set_result(level)


DETECTION = TurnDetection("semantic", end_threshold=0.5, max_silence_ms=1500)


def heard(pcm: np.ndarray, chunk: int, waits: int) -> list[Found]:
    """Feed speech that is loud, in chunks; each answer comes only after `waits` further chunks."""
    pool = Loudness()
    endpointing = Endpointing(SegmenterSettings(max_segment_s=inf), 0, DETECTION, TurnJudge(pool))
    found: list[Found] = []
    waited = 0
    for start in range(0, len(pcm) + 100 * chunk, chunk):
        endpointing.audio.append(pcm[start : start + chunk])
        waited += bool(pool.asked)
        if pool.asked and waited >= waits:
            pool.answer()
            waited = 0
        while endpointing.has_unheard():
            piece = endpointing.unheard(10)
            loudest = np.abs(piece.reshape(-1, WINDOW_SAMPLES)).max(axis=1, initial=0.0)
            boundaries = endpointing.hear((loudest > 0.01).astype(np.float32))
            found += [one for one in boundaries if isinstance(one, Opened | Closed)]
        endpointing.forget_before(endpointing.segmenter.position_samples)
    return found


@pytest.mark.parametrize(("chunk", "waits"), [(512, 0), (3000, 1), (1600, 4), (50_000, 0)])
def test_boundaries_do_not_depend_on_when_answers_come(chunk: int, waits: int) -> None:
    quiet, soft, loud = (np.full(8000, level, np.float32) for level in (0.0, 0.2, 0.9))
    pcm = np.concatenate([quiet, soft, soft, quiet, loud, quiet, quiet, soft, soft, *[quiet] * 4])
    expected = heard(pcm, WINDOW_SAMPLES, 0)
    assert [type(one) for one in expected] == [Opened, Closed, Opened, Closed]
    assert [one.reason for one in expected if isinstance(one, Closed)] == [EndReason.FINISHED, EndReason.SILENCE]
    assert heard(pcm, chunk, waits) == expected


def test_rule_of_the_client_replaces_that_of_the_engine() -> None:
    own = SegmenterSettings(late_after_s=7.0)
    assert turn_settings(own, None) is own
    assert turn_settings(own, TurnDetection("pause")) == own
    pause = turn_settings(own, TurnDetection("pause", 0.6, 100, 900))
    assert (pause.onset_probability, pause.pre_roll_ms) == (0.6, 100)
    assert pause.offset_probability == pytest.approx(0.45)
    assert (pause.endpoint_ms, pause.late_endpoint_ms) == (900, 900)
    assert turn_settings(own, TurnDetection("pause", threshold=0.0)).offset_probability > 0
    assert replace(turn_settings(own, TurnDetection("semantic")), turn_rule=None) == own


def test_changed_rule_applies_from_the_next_segment_on() -> None:
    endpointing = Endpointing(SegmenterSettings(), 0)

    def pushed(probability: float, count: int) -> list[Found]:
        endpointing.audio.append(np.zeros(count * WINDOW_SAMPLES, np.float32))
        found = []
        while endpointing.has_unheard():
            windows_now = len(endpointing.unheard(5)) // WINDOW_SAMPLES
            found += list(endpointing.hear(np.full(windows_now, probability, np.float32)))
        return found  # type: ignore[return-value]

    pushed(SPEECH, 10)
    endpointing.configure(TurnDetection("pause", silence_duration_ms=96))
    assert pushed(QUIET, 5) == []
    assert [type(one) for one in pushed(QUIET, 12)] == [Closed]
    pushed(SPEECH, 10)
    assert [type(one) for one in pushed(QUIET, 3)] == [Closed]
