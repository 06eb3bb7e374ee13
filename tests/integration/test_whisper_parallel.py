"""Windows of live sessions that are decoded while steps continue, one on each thread."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.bench.scoring import edits, normalised
from tests.engine_sessions import Outputs, by_session, drained, finals, lent, partials, text_of
from tests.integration.whisper_sessions import FILE, LIVE, shared_model
from tests.speech import SENTENCES, silence, synthesise
from tests.whisper_engines import load
from worker.engines.base import Final, Partial, Timed
from worker.engines.whisper.engine import WhisperEngine
from worker.engines.whisper.onnx_model.sessions import is_exact
from worker.engines.whisper.settings import WhisperSettings

ENGLISH = replace(LIVE, language="en")

pytestmark = pytest.mark.skipif(not is_exact(), reason="This processor does not multiply 8-bit integers exactly.")


@pytest.fixture(scope="module")
def loaded() -> WhisperEngine:
    """The interval of partials is kept on a busy machine."""
    return load(threads=2, slots=3, settings=WhisperSettings(load_share=0))


@pytest.fixture
def engine(loaded: WhisperEngine) -> Iterator[WhisperEngine]:
    yield from lent(loaded)


@pytest.fixture
def single() -> Iterator[WhisperEngine]:
    """With one thread."""
    yield from lent(shared_model())


def spoken() -> NDArray[np.float32]:
    return synthesise(SENTENCES[4])


def begin(engine: WhisperEngine) -> Outputs:
    """Session "a", whose window is being decoded, and its first outputs."""
    engine.take_passes()
    engine.open("a", ENGLISH)
    engine.feed("a", spoken()[: 2 * SAMPLE_RATE_HZ])
    outputs = by_session(engine.step())
    assert engine.take_passes() == []
    assert engine.ready()
    return outputs


def test_audio_that_comes_while_a_window_is_decoded_is_heard(engine: WhisperEngine) -> None:
    outputs = begin(engine)["a"]
    engine.feed("a", spoken()[2 * SAMPLE_RATE_HZ :])
    engine.finish("a")
    outputs += drained(engine)["a"]
    assert edits(normalised(SENTENCES[4]), normalised(text_of(outputs))) <= 1
    assert partials(outputs)


def test_audio_that_is_being_decoded_is_backlog(engine: WhisperEngine) -> None:
    begin(engine)
    engine._interval_ms = 10_000.0  # as after a slow pass of another session
    assert engine.absorbed_samples("a") < SAMPLE_RATE_HZ


@pytest.mark.parametrize("configured", [False, True])
def test_commit_while_a_window_is_decoded_ends_the_segment(engine: WhisperEngine, configured: bool) -> None:
    outputs = begin(engine)["a"]
    if configured:
        engine.configure("a", replace(ENGLISH, words=False))
    engine.commit("a")
    outputs += drained(engine)["a"]
    [final] = finals(outputs)
    assert final.text
    assert final.words, "options change with the next segment"


def test_session_that_is_closed_while_its_window_is_decoded_is_forgotten(engine: WhisperEngine) -> None:
    begin(engine)
    engine.close("a")
    engine.open("b", ENGLISH)
    engine.feed("b", spoken())
    engine.finish("b")
    outputs = drained(engine)
    assert set(outputs) == {"b"}
    assert edits(normalised(SENTENCES[4]), normalised(text_of(outputs["b"]))) <= 1
    assert not engine.ready()


@pytest.mark.parametrize(("options", "sessions"), [(ENGLISH, 1), (replace(ENGLISH, partials=False), 3)])
def test_windows_share_a_pass_where_nobody_waits_for_words(
    engine: WhisperEngine, options: SessionOptions, sessions: int
) -> None:
    assert isinstance(engine, Timed)
    engine.take_passes()
    for session_id in ("a", "b", "c"):
        engine.open(session_id, options)
        engine.feed(session_id, spoken()[: 2 * SAMPLE_RATE_HZ])
        engine.finish(session_id)
    outputs = drained(engine)
    assert [len(finals(outputs[session_id])) for session_id in ("a", "b", "c")] == [1, 1, 1]
    passes = engine.take_passes()
    assert {one.sessions for one in passes} == {sessions}
    assert all(one.pass_ms > 0 for one in passes)


def test_recording_and_live_speech_take_turns_on_one_thread(single: WhisperEngine) -> None:
    for session_id, options in (("a", replace(FILE, language="en")), ("b", ENGLISH)):
        single.open(session_id, options)
    single.feed("a", np.concatenate([synthesise("Good morning."), silence(3)] * 3))
    single.finish("a")
    order = []
    for start in range(0, 6 * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ):
        single.feed("b", np.tile(spoken(), 3)[start : start + SAMPLE_RATE_HZ])
        order += [(session_id, type(output)) for session_id, output in single.step()]
    assert min(order.count(("a", Final)), order.count(("b", Partial))) >= 2
