"""Turns of the streaming model: the VAD and Smart Turn end them, not pauses in the text."""

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from operator import itemgetter
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from shared.turn_detection import TurnDetection
from tests.speech import SENTENCES, silence, synthesise
from tests.unit.worker.engines.voxtral_realtime.test_session import FRAME, PAD, PROMPT, WORD, _Alphabet, heard
from worker.engines.base import (
    Final,
    Finished,
    HeardAgain,
    Output,
    Partial,
    SpeechStarted,
    SpeechStopped,
    TurnEnded,
    TurnEndedEarly,
    TurnResumed,
)
from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.speech.vad import SileroVad
from worker.engines.voxtral_realtime.session import Session
from worker.engines.voxtral_realtime.transcript import ENDPOINT_FRAMES
from worker.engines.voxtral_realtime.turn_ends import TurnEnds
from worker.engines.voxtral_realtime.vocabulary import Vocabulary
from worker.turns.judge import TurnJudge

VAD = SileroVad()
PLAIN_SAMPLES = (ENDPOINT_FRAMES + 6) * FRAME
"""From the end of a word to its final, without turn detection: the pause, and the model's delay of 480 ms."""
ONE, TWO = synthesise(SENTENCES[15]), synthesise(SENTENCES[31])
GAP = silence(1.2)


class Given(Executor):
    """Answers with the given probabilities, in order."""

    def __init__(self, *probabilities: float) -> None:
        self._probabilities = [*probabilities]

    def submit(self, _call: Any, /, *arguments: Any, **_named: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        answer.set_result(self._probabilities.pop(0) if arguments and self._probabilities else 0.0)
        return answer


def outputs_of(
    detection: TurnDetection | None,
    pcm: NDArray[np.float32],
    words: Mapping[int, str],
    *answers: float,
    turns: bool = False,
    changes: Mapping[int, TurnDetection | None] = MappingProxyType({}),
) -> list[Output]:
    """Of a model that writes a letter at the given frames. `changes`: detections that the client sets, by samples."""
    options = SessionOptions(turn_detection=detection, turns=turns)
    judge = TurnJudge(Given(*answers))
    session = Session(
        options, PROMPT, Vocabulary(_Alphabet()), start_samples=0, segment=0, default_delay_ms=480, vad=VAD, judge=judge
    )
    said = {}
    for frame, letter in words.items():
        said |= {frame: WORD, frame + 1: 100 + ord(letter) - ord("a")}
    found: list[Output] = []

    def run() -> None:
        session.listen()
        while session.is_ready:
            said_at = session.stretch.said_at_samples
            session.take(heard(session), PAD if said_at is None else said.get(said_at // FRAME, PAD), 1.0)
            session.listen()
        found.extend(session.take_outputs())

    waiting = deque(sorted(changes.items(), key=itemgetter(0)))
    for start in range(0, len(pcm), 1600):
        if waiting and start >= waiting[0][0]:
            session.configure(SessionOptions(turn_detection=waiting.popleft()[1], turns=turns))
        session.feed(pcm[start : start + 1600])
        run()
    session.finish()
    run()
    return [output for output in found if not isinstance(output, Partial)]


def frames(at: int, *offsets: int) -> list[int]:
    return [at // FRAME + offset for offset in offsets]


PCM = np.concatenate([silence(0.3), ONE, GAP, TWO, GAP])
END_OF_ONE = len(silence(0.3)) + len(ONE)
SCRIPT = {
    **dict(zip(frames(END_OF_ONE, -30, -20, -8), "abc", strict=True)),
    **dict(zip(frames(END_OF_ONE + len(GAP) + len(TWO), -30, -20, -8), "def", strict=True)),
}


def test_pause_inside_a_thought_does_not_end_the_turn() -> None:
    detection = TurnDetection("semantic", end_threshold=0.5, max_silence_ms=5000)
    found = outputs_of(detection, PCM, SCRIPT)
    assert [output.text for output in found if isinstance(output, Final)] == ["a b c d e f"]
    assert [type(output) for output in found] == [SpeechStarted, SpeechStopped, Final, TurnEnded, Finished]
    assert [output.reason for output in found if isinstance(output, TurnEnded)] == ["commit"]


def test_finished_thought_ends_the_turn_before_the_plain_rule_does() -> None:
    found = outputs_of(TurnDetection("semantic", end_threshold=0.5), PCM, SCRIPT, 0.9, 0.9)
    assert [output.text for output in found if isinstance(output, Final)] == ["a b c", "d e f"]
    turn = [SpeechStarted, SpeechStopped, Final, TurnEnded]
    assert [type(output) for output in found] == [*turn, *turn, Finished]
    first = next(output for output in found if isinstance(output, TurnEnded))
    assert (first.reason, first.probability) == ("finished", 0.9)
    assert first.decided_samples - first.end_samples < 4000
    final = next(output for output in found if isinstance(output, Final))
    assert final.heard_samples - final.end_samples < PLAIN_SAMPLES


@pytest.mark.parametrize(("silence_ms", "texts"), [(300, ["a b c", "d e f"]), (2000, ["a b c d e f"])])
def test_pause_of_the_client_ends_the_turn(silence_ms: int, texts: list[str]) -> None:
    found = outputs_of(TurnDetection("pause", silence_duration_ms=silence_ms), PCM, SCRIPT)
    assert [output.text for output in found if isinstance(output, Final)] == texts


def test_turn_without_words_has_a_final_for_protocols_that_need_one() -> None:
    detection = TurnDetection("pause", silence_duration_ms=300)
    assert not [output for output in outputs_of(detection, PCM, {}) if isinstance(output, Final | TurnEnded)]
    found = outputs_of(detection, PCM, {}, turns=True)
    finals = [output for output in found if isinstance(output, Final)]
    assert [(output.segment, output.text) for output in finals] == [(0, ""), (1, "")]
    starts = [output.at_samples for output in found if isinstance(output, SpeechStarted)]
    assert [output.start_samples for output in finals] == starts
    assert [type(output) for output in found if isinstance(output, Final | TurnEnded)] == [Final, TurnEnded] * 2


def test_turn_without_words_ends_although_its_early_end_was_taken_back() -> None:
    detection = TurnDetection("semantic", early=True, end_threshold=0.9, max_silence_ms=5000)
    found = outputs_of(detection, PCM, {}, 0.7, 0.1)
    turn = [SpeechStarted, TurnEndedEarly, TurnResumed, SpeechStopped, TurnEnded]
    assert [type(output) for output in found if not isinstance(output, HeardAgain)] == [*turn, Finished]


PAUSE = TurnDetection("pause", silence_duration_ms=300)
SEGMENT = [SpeechStarted, SpeechStopped, Final]
TURN = [*SEGMENT, TurnEnded]
IN_ONE = END_OF_ONE - 16_000
FIRST = dict(zip(frames(END_OF_ONE, -32, -26, -20, -14, -8), "abcde", strict=True))
SECOND = dict(zip(frames(END_OF_ONE + len(GAP) + len(TWO), -32, -26, -20, -14, -8), "fghij", strict=True))
FLUENT = FIRST | SECOND
"""Without pauses in the text."""


@pytest.mark.parametrize(
    ("first", "changes", "expected"),
    [
        (PAUSE, {IN_ONE: None}, [*TURN, *SEGMENT]),
        (None, {IN_ONE: PAUSE}, [*SEGMENT, *TURN]),
        (PAUSE, {IN_ONE: None, END_OF_ONE: PAUSE}, [*TURN, *TURN]),
        (None, {IN_ONE: PAUSE, END_OF_ONE: None}, [*SEGMENT, *SEGMENT]),
    ],
)
def test_turn_detection_is_switched_between_turns(
    first: TurnDetection | None, changes: Mapping[int, TurnDetection | None], expected: list[type[Output]]
) -> None:
    assert [type(output) for output in outputs_of(first, PCM, FLUENT, changes=changes)] == [*expected, Finished]


def test_turn_that_has_probably_ended_ends_although_turn_detection_is_switched_off() -> None:
    detection = TurnDetection("semantic", early=True, end_threshold=0.5, min_silence_ms=900)
    found = outputs_of(detection, PCM, FLUENT, 0.9, changes={END_OF_ONE: None})
    assert [type(output) for output in found] == [SpeechStarted, TurnEndedEarly, *TURN[1:], *SEGMENT, Finished]


def test_word_after_the_last_turn_has_its_final_when_turn_detection_is_switched_off() -> None:
    late = END_OF_ONE // FRAME + 10
    pcm = np.concatenate([PCM[:END_OF_ONE], silence(5)])
    found = outputs_of(PAUSE, pcm, FIRST | {late: "z"}, changes={(late + 12) * FRAME: None})
    assert [type(output) for output in found] == [*TURN, Final, Finished]
    last = found[-2]
    assert isinstance(last, Final)
    assert last.text == "z"
    assert last.heard_samples < len(pcm) - 2 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("detection", [TurnDetection("pause", silence_duration_ms=5000), TurnDetection("semantic")])
def test_open_turn_keeps_only_the_audio_that_questions_are_about(detection: TurnDetection) -> None:
    judge = TurnJudge(Given())
    ends = TurnEnds(VAD, judge)
    ends.configure(detection)
    ends.switch(AudioBuffer(0), 0)
    for _ in range(10):
        ends.feed(np.concatenate([ONE, TWO]))
        while ends.is_due:
            ends.listen()
    endpointing = ends._endpointing
    assert endpointing is not None
    assert endpointing.segmenter._open is not None
    assert endpointing.segmenter._open.start_samples > endpointing.audio.end_samples // 2
    kept_samples = endpointing.audio.end_samples - endpointing.audio.start_samples
    assert kept_samples < 2 * judge.heard_samples < endpointing.audio.end_samples // 2
    assert len(endpointing.segmenter._open._probabilities) < 200
