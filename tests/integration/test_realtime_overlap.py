"""Passes of Voxtral Realtime that overlap: the next one runs while sessions are told what the one before has said.

And passes that sessions share whose audio does not come at the same moment.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from tests.engine_sessions import drained, fed, finals, text_of
from tests.tiny.engine import loaded_realtime
from tests.tiny.scenes import scene
from worker.engines.base import Committed, History, Output, SettledWord
from worker.engines.voxtral_realtime.gathering import GATHER_S
from worker.engines.voxtral_realtime.session import Session

SPOKEN = scene(3, 4)
FRAME_SAMPLES = 1280


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    threads = torch.get_num_threads()
    engine = loaded_realtime(slots=8)
    engine.warm_up()
    yield engine
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def overlapping(engine: Any) -> Iterator[None]:
    engine._overlaps = True
    yield
    engine._gathering.longest_s = 0.0
    engine._clock = time.monotonic
    for session_id in list(engine._sessions):
        engine.close(session_id)
    drained(engine)


def passes(engine: Any, session_id: str, count: int) -> list[Output]:
    """What a session is told in so many steps."""
    return [output for _ in range(count) for key, output in engine.step() if key == session_id]


def said(engine: Any, pcm: NDArray[np.float32], commit_at_samples: int) -> list[Output]:
    """What a session that commits once is told until it is drained."""
    engine.open("a", SessionOptions())
    outputs = fed(engine, "a", pcm[:commit_at_samples], FRAME_SAMPLES)
    engine.commit("a")
    outputs += fed(engine, "a", pcm, 4800, start=commit_at_samples)
    engine.finish("a")
    outputs += drained(engine)["a"]
    engine.close("a")
    return outputs


def told(outputs: list[Output]) -> list[Output]:
    """Without what differs from run to run."""
    for output in outputs:
        if hasattr(output, "model_ms"):
            object.__setattr__(output, "model_ms", 0.0)
    return outputs


def test_next_pass_is_launched_before_the_sessions_are_told(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    launch, take = engine._model.launch, Session.take
    monkeypatch.setattr(engine._model, "launch", lambda batch: (order.append("launch"), launch(batch)))
    monkeypatch.setattr(Session, "take", lambda *all: (order.append("told"), take(*all)))
    engine.open("a", SessionOptions())
    engine.feed("a", np.zeros(4 * FRAME_SAMPLES, np.float32))
    drained(engine)
    assert order == ["launch", *["launch", "told"] * 3, "told"]


def test_passes_are_timed_for_the_load_of_the_worker(engine: Any) -> None:
    assert engine.info.frame_ms == 80
    engine.open("a", SessionOptions())
    engine.take_passes()
    engine.feed("a", np.zeros(4 * FRAME_SAMPLES, np.float32))
    drained(engine)
    passes = engine.take_passes()
    assert [one.sessions for one in passes] == [1] * 4
    assert min(one.pass_ms for one in passes) > 0
    assert engine.take_passes() == []


def test_overlapping_passes_say_the_same(engine: Any) -> None:
    commit_at_samples = SPOKEN.words[1].end_samples + 3000
    overlapping = told(said(engine, SPOKEN.audio, commit_at_samples))
    engine._overlaps = False
    assert told(said(engine, SPOKEN.audio, commit_at_samples)) == overlapping
    assert text_of(overlapping)
    assert Committed(commit_at_samples) in overlapping


def test_past_is_recalled_between_overlapping_passes(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass over its first positions is under way when enough of its audio comes for a chunk."""
    chunks: list[int] = []
    prefill = engine._model.prefill
    monkeypatch.setattr(engine._model, "prefill", lambda *all: (chunks.append(len(all[2])), prefill(*all)))
    words = tuple(SettledWord(f" {word.text}", word.end_samples) for word in SPOKEN.words[:2])
    heard = []
    for overlaps in (True, False):
        engine._overlaps = overlaps
        engine.open("other", SessionOptions())
        engine.open("heir", SessionOptions(), start_samples=words[-1].end_samples)
        engine.recall("heir", History(0, words))
        engine.feed("other", SPOKEN.audio)
        engine.feed("heir", SPOKEN.audio[: 4 * FRAME_SAMPLES])
        outputs: dict[str, list[Output]] = {"other": [], "heir": []}
        for key, output in engine.step():
            outputs[key].append(output)
        engine.feed("heir", SPOKEN.audio[4 * FRAME_SAMPLES :])
        for key in outputs:
            engine.finish(key)
        for key, rest in drained(engine).items():
            outputs[key] += rest
            engine.close(key)
        heard.append([[final.words for final in finals(one)] for one in outputs.values()])
    assert heard[0] == heard[1]
    assert all(heard[0])
    assert len(chunks) >= 2, "at least one in each run"


def test_session_that_takes_a_row_during_a_pass_is_told_nothing_of_it(engine: Any) -> None:
    """The first is closed while a pass over its row is under way, and another opens in that row, with the same id."""
    engine.open("a", SessionOptions())
    engine.feed("a", SPOKEN.audio)
    passes(engine, "a", 30)
    assert engine._flight is not None
    engine.close("a")
    engine.open("a", SessionOptions())
    session = engine._sessions["a"]
    position = session.stretch._position
    assert passes(engine, "a", 1) == []
    assert session.stretch._position == position


def test_stretch_that_begins_during_a_pass_hears_all_of_its_audio(engine: Any) -> None:
    """Its delay changes while a pass is under way: what that pass says is of the former stretch."""
    words = []
    for steps in (1, 2, 5):
        engine.open("a", SessionOptions(delay_ms=240))
        engine.feed("a", SPOKEN.audio)
        passes(engine, "a", steps)
        engine.configure("a", SessionOptions(delay_ms=480))
        engine.finish("a")
        words.append([final.words for final in finals(drained(engine)["a"])])
        engine.close("a")
    engine._overlaps = False
    engine.open("a", SessionOptions(delay_ms=480))
    engine.feed("a", SPOKEN.audio)
    engine.finish("a")
    expected = [final.words for final in finals(drained(engine)["a"])]
    assert expected
    assert words == [expected] * 3


def test_nothing_is_staged_while_a_pass_may_still_read_it(engine: Any) -> None:
    engine.open("a", SessionOptions())
    engine.feed("a", np.zeros(2 * FRAME_SAMPLES, np.float32))
    engine.step()
    with pytest.raises(AssertionError, match="staged"):
        engine._model.stage(0, np.zeros(1480, np.float32))


class Simulated:
    """Sessions that each get a frame every 80 ms, on a clock that stands still during a pass."""

    def __init__(self, engine: Any, phases_s: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
        self._engine = engine
        self._phases_s = phases_s
        self.now_s = 1000.0
        self.launches = 0
        self.waited_s: list[float] = []
        engine._clock = lambda: self.now_s
        launch = engine._launch
        monkeypatch.setattr(engine, "_launch", lambda: self._launched(launch))
        for name in phases_s:
            engine.open(name, SessionOptions())
            engine.feed(name, np.zeros(20, np.float32))  # a window of a position ends 20 samples behind its frame
        drained(engine)

    def _launched(self, launch: Any) -> Any:
        self.launches += 1
        self.waited_s += [self.now_s - due_s for due_s in self._engine._due.values()]
        return launch()

    def run(self, frames: int) -> None:
        begin_s = self.now_s
        self.launches, self.waited_s = 0, []
        coming = sorted(
            (phase_s + 0.08 * frame, name) for frame in range(frames) for name, phase_s in self._phases_s.items()
        )
        for at_s, name in coming:
            self._advance(begin_s + at_s)
            self._engine.feed(name, np.zeros(FRAME_SAMPLES, np.float32))
        self._advance(begin_s + 0.08 * frames + 1)

    def _advance(self, until_s: float) -> None:
        while self._engine.ready():
            pause_s = self._engine.pause_s()
            if self.now_s + pause_s > until_s:
                break
            self.now_s += pause_s
            self._engine.step()
        self.now_s = until_s


def test_sessions_share_passes_and_none_waits_longer_than_20_ms(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    phases_s = {str(number): 0.009 * number for number in range(8)}
    simulated = Simulated(engine, phases_s, monkeypatch)
    simulated.run(10)
    assert simulated.launches == 80, "without gathering, each has a pass of its own"
    assert max(simulated.waited_s) == 0
    engine._gathering.longest_s = GATHER_S
    simulated.run(10)
    assert simulated.launches == 8 + 9 * 3, "no frame is expected in the beginning; then three passes serve all eight"
    assert len(simulated.waited_s) == 80
    assert max(simulated.waited_s) <= GATHER_S + 1e-6


def test_session_waits_for_nobody_who_is_not_expected(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other's frames come long after, or no more."""
    engine._gathering.longest_s = GATHER_S
    simulated = Simulated(engine, {"a": 0.0, "b": 0.04}, monkeypatch)
    simulated.run(5)
    assert simulated.launches == 10
    assert max(simulated.waited_s) == 0
    simulated._phases_s = {"a": 0.0}
    simulated.run(5)
    assert (simulated.launches, max(simulated.waited_s)) == (5, 0)


def test_end_of_a_session_waits_for_nobody(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine._gathering.longest_s = GATHER_S
    simulated = Simulated(engine, {"a": 0.0, "b": 0.01}, monkeypatch)
    simulated.run(3)
    simulated.now_s += 0.08 - simulated.now_s % 0.08
    engine.feed("a", np.zeros(FRAME_SAMPLES, np.float32))
    simulated.now_s += 0.07
    engine.feed("b", np.zeros(FRAME_SAMPLES, np.float32))
    engine.finish("a")
    assert engine.pause_s() == 0
