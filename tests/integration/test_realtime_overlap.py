"""Passes of Voxtral Realtime that overlap: the next one runs while sessions are told what the one before has said."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.config import Settings
from shared.events import SessionOptions
from tests.engine_sessions import drained, fed, finals, text_of
from tests.tiny.checkpoint import DIRECTORY
from tests.tiny.scenes import scene
from worker.engines.base import Committed, Output
from worker.engines.registry import REALTIME, load_engine
from worker.engines.voxtral_realtime.session import Session

SPOKEN = scene(3, 4)
FRAME_SAMPLES = 1280


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    threads = torch.get_num_threads()
    model = {"name": REALTIME, "path": DIRECTORY, "device": "cpu", "threads": 1, "slots": 3}
    engine: Any = load_engine(Settings(model=model))  # type: ignore[arg-type]
    engine.warm_up()
    yield engine
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def overlapping(engine: Any) -> Iterator[None]:
    engine._overlaps = True
    yield
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
    engine.take_passes_ms()
    engine.feed("a", np.zeros(4 * FRAME_SAMPLES, np.float32))
    drained(engine)
    passes_ms = engine.take_passes_ms()
    assert len(passes_ms) == 4
    assert min(passes_ms) > 0
    assert engine.take_passes_ms() == []


def test_overlapping_passes_say_the_same(engine: Any) -> None:
    commit_at_samples = SPOKEN.words[1].end_samples + 3000
    overlapping = told(said(engine, SPOKEN.audio, commit_at_samples))
    engine._overlaps = False
    assert told(said(engine, SPOKEN.audio, commit_at_samples)) == overlapping
    assert text_of(overlapping)
    assert Committed(commit_at_samples) in overlapping


def test_session_that_takes_a_row_during_a_pass_is_told_nothing_of_it(engine: Any) -> None:
    """The first is closed while a pass over its row is under way, and another opens in that row, with the same id."""
    engine.open("a", SessionOptions())
    engine.feed("a", SPOKEN.audio)
    passes(engine, "a", 30)
    assert engine._flight is not None
    engine.close("a")
    engine.open("a", SessionOptions())
    session = engine._sessions["a"]
    position = session._position
    assert passes(engine, "a", 1) == []
    assert session._position == position


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
