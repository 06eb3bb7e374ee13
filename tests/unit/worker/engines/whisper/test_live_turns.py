"""Turns of live sessions: what was said before a pause decides whether it ends the segment."""

from concurrent.futures import Executor, Future
from typing import Any

import pytest

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from shared.turn_detection import TurnDetection
from tests.unit.worker.engines.whisper.test_live import PATIENT, SETTINGS, STORY, check_contract
from tests.unit.worker.engines.whisper.whisper_speech import play, speech
from worker.engines.base import Final, Finished, Partial, SpeechStarted, SpeechStopped, TurnEnded
from worker.engines.whisper.live import LiveSession
from worker.engines.whisper.session import Place
from worker.turns.judge import TurnJudge

TURN = [SpeechStarted, SpeechStopped, Final, TurnEnded]


class Sure(Executor):
    """Answers each question with the same probability."""

    def __init__(self, probability: float) -> None:
        self._probability = probability

    def submit(self, _call: Any, /, *_arguments: Any, **_named: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        answer.set_result(self._probability)
        return answer


def session(probability: float, **fields: Any) -> LiveSession:
    detection = TurnDetection("semantic", end_threshold=0.5, **fields)
    options = SessionOptions(language="en", turn_detection=detection)
    return LiveSession(options, ("en",), Place(), PATIENT, SETTINGS, judge=TurnJudge(Sure(probability)))


@pytest.mark.parametrize("pause_s", [1.5, 6.0, 7.5])
def test_pauses_inside_a_turn_do_not_end_its_segment(pause_s: float) -> None:
    said = speech(*STORY, pause_s=pause_s)
    played = play(session(0.1, max_silence_ms=20_000), said)
    check_contract(played)
    assert played.text == " ".join(STORY)
    ends = [output for output in played.outputs if isinstance(output, TurnEnded)]
    assert [end.reason for end in ends] == ["commit"]


def test_silence_of_the_client_ends_the_turn_however_long_it_is() -> None:
    played = play(session(0.1, max_silence_ms=8_000), speech(*STORY, pause_s=9.0))
    assert [final.text for final in played.finals] == list(STORY)
    ends = [output for output in played.outputs if isinstance(output, TurnEnded)]
    assert [end.reason for end in ends] == ["silence"] * 3
    assert all(end.decided_samples - end.end_samples >= 8 * SAMPLE_RATE_HZ for end in ends)


def test_finished_speech_ends_its_turn_at_once() -> None:
    played = play(session(0.9), speech(*STORY, pause_s=0.4))
    kinds = [type(output) for output in played.outputs if not isinstance(output, Partial)]
    assert kinds == [*TURN * 3, Finished]
    assert [final.text for final in played.finals] == list(STORY)
