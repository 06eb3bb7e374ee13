"""Turn detection of an engine without a model: real speech, the real VAD and the real Smart Turn."""

import threading
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from shared.turn_detection import TurnDetection
from tests.speech import SENTENCES, silence, synthesise
from worker.engines.base import (
    Committed,
    Final,
    Finished,
    Notice,
    Output,
    Partial,
    SpeechStarted,
    SpeechStopped,
    TurnEnded,
    TurnEndedEarly,
    TurnResumed,
)
from worker.engines.echo import EchoEngine
from worker.model_files import ModelFile
from worker.turns import judge as judge_module
from worker.turns.judge import TurnJudge

WHOLE = synthesise(SENTENCES[15])
LONG = synthesise(SENTENCES[2])
PART, REST = LONG[: len(LONG) * 6 // 10], LONG[len(LONG) * 6 // 10 :]
"""She opened the window because the room …"""
TURN = [SpeechStarted, SpeechStopped, Final, TurnEnded]


class AtOnce(Executor):
    """Runs the model in the caller's thread."""

    def submit(self, fn: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        answer.set_result(fn(*arguments, **named))
        return answer


@pytest.fixture
def engine() -> EchoEngine:
    engine = EchoEngine(slots=2)
    engine.turn_judge = TurnJudge(AtOnce())
    return engine


def heard(
    engine: EchoEngine, pcm: NDArray[np.float32], detection: TurnDetection | None, chunk: int = 1600, *, start: int = 0
) -> list[Output]:
    engine.open("a", SessionOptions(turn_detection=detection), start_samples=start)
    outputs: list[Output] = []
    for at in range(start, len(pcm), chunk):
        engine.feed("a", pcm[at : at + chunk])
        while engine.ready():
            outputs += [output for _, output in engine.step()]
    assert engine.absorbed_samples("a") == len(pcm)
    engine.finish("a")
    while engine.ready():
        outputs += [output for _, output in engine.step()]
    engine.close("a")
    return [output for output in outputs if not isinstance(output, Partial)]


def test_finished_sentence_ends_its_turn_sooner_than_a_pause_rule(engine: EchoEngine) -> None:
    pcm = np.concatenate([silence(0.3), WHOLE, silence(2.0)])
    found = heard(engine, pcm, TurnDetection("semantic"))
    assert [type(output) for output in found] == [*TURN, Finished]
    ended = next(output for output in found if isinstance(output, TurnEnded))
    assert ended.reason == "finished"
    assert ended.probability is not None
    assert ended.probability > 0.9
    assert ended.decided_samples - ended.end_samples < 16 * 300
    plain = heard(engine, pcm, TurnDetection("pause"))
    pause = next(output for output in plain if isinstance(output, TurnEnded))
    assert (pause.reason, pause.probability) == ("silence", None)
    assert pause.decided_samples - pause.end_samples >= 16 * 544


def test_pause_inside_a_sentence_does_not_end_the_turn(engine: EchoEngine) -> None:
    pcm = np.concatenate([silence(0.3), PART, silence(1.2), REST, silence(2.5)])
    assert [type(output) for output in heard(engine, pcm, TurnDetection("semantic"))] == [*TURN, Finished]
    assert [type(output) for output in heard(engine, pcm, TurnDetection("pause"))] == [*TURN, *TURN, Finished]


def test_early_end_is_taken_back(engine: EchoEngine) -> None:
    pcm = np.concatenate([silence(0.3), WHOLE, silence(0.2), WHOLE, silence(3.0)])
    found = heard(engine, pcm, TurnDetection("semantic", early=True, min_silence_ms=2000))
    kinds = [type(output) for output in found]
    early = [TurnEndedEarly, TurnResumed, TurnEndedEarly]
    assert kinds == [SpeechStarted, *early, SpeechStopped, Final, TurnEnded, Finished]


def test_new_owner_finds_the_same_turns(engine: EchoEngine) -> None:
    pcm = np.concatenate([silence(0.3), PART, silence(0.8), REST, silence(2.5), WHOLE, silence(1.0)])
    whole = heard(engine, pcm, TurnDetection("semantic"))
    first = next(output for output in whole if isinstance(output, Final))
    resumed = heard(engine, pcm, TurnDetection("semantic"), 3000, start=first.resume_samples)
    assert [o for o in resumed if isinstance(o, TurnEnded)] == [o for o in whole if isinstance(o, TurnEnded)][1:]


def test_threads_answer_and_wake(engine: EchoEngine) -> None:

    woken = threading.Event()
    engine.turn_judge = TurnJudge()
    engine.turn_judge.on_answer = woken.set
    engine.open("a", SessionOptions(turn_detection=TurnDetection("semantic")))
    engine.feed("a", np.concatenate([WHOLE, silence(1.0)]))
    found: list[Output] = []
    while not any(isinstance(output, TurnEnded) for output in found):
        while engine.ready():
            found += [output for _, output in engine.step()]
        if not any(isinstance(output, TurnEnded) for output in found):
            assert woken.wait(60)
            woken.clear()


def test_without_the_model_turns_end_at_pauses(engine: EchoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = ModelFile("missing.onnx", "none==1", "", "none", "")
    monkeypatch.setattr(judge_module, "SMART_TURN", missing)
    pcm = np.concatenate([silence(0.3), WHOLE, silence(1.0)])
    notice, *rest = heard(engine, pcm, TurnDetection("semantic"))
    assert isinstance(notice, Notice)
    assert notice.code == "turn_detection_limited"
    assert [type(output) for output in rest] == [*TURN, Finished]


def test_session_without_turn_detection_loads_nothing(engine: EchoEngine) -> None:
    found = heard(engine, np.concatenate([WHOLE, silence(1.0)]), None)
    assert [type(output) for output in found] == [Final, Finished]
    assert engine._vad is None


def test_commit_ends_the_turn(engine: EchoEngine) -> None:
    engine.open("a", SessionOptions(turn_detection=TurnDetection("semantic")))
    engine.feed("a", WHOLE[:16_000])
    engine.commit("a")
    found: list[Output] = []
    while engine.ready():
        found += [output for _, output in engine.step() if not isinstance(output, Partial)]
    assert [type(output) for output in found] == [*TURN, Committed]
    assert [output.reason for output in found if isinstance(output, TurnEnded)] == ["commit"]
