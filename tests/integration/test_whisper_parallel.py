"""Windows of live sessions that are decoded while steps continue, one on each thread."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from shared.events import SAMPLE_RATE_HZ
from tests.bench.scoring import edits, normalised
from tests.engine_sessions import by_session, drained, finals, lent, partials, text_of
from tests.integration.whisper_sessions import FILE, LIVE, shared_model
from tests.speech import SENTENCES, silence, synthesise
from worker.engines.base import Final, Partial, Timed
from worker.engines.whisper.engine import WhisperEngine, load
from worker.engines.whisper.onnx_model.sessions import is_exact

ENGLISH = replace(LIVE, language="en")
SPOKEN = synthesise(SENTENCES[4])

pytestmark = pytest.mark.skipif(not is_exact(), reason="This processor does not multiply 8-bit integers exactly.")


@pytest.fixture(scope="module")
def loaded() -> WhisperEngine:
    return load(threads=2, slots=3)


@pytest.fixture
def engine(loaded: WhisperEngine) -> Iterator[WhisperEngine]:
    yield from lent(loaded)


@pytest.fixture
def single() -> Iterator[WhisperEngine]:
    """With one thread."""
    yield from lent(shared_model())


def test_audio_that_comes_while_a_window_is_decoded_is_heard(engine: WhisperEngine) -> None:
    engine.open("a", ENGLISH)
    outputs = []
    for start in range(0, len(SPOKEN), SAMPLE_RATE_HZ // 2):
        engine.feed("a", SPOKEN[start : start + SAMPLE_RATE_HZ // 2])
        outputs += by_session(engine.step()).get("a", [])
    engine.finish("a")
    outputs += drained(engine)["a"]
    assert edits(normalised(SENTENCES[4]), normalised(text_of(outputs))) <= 1
    assert partials(outputs)


def test_session_that_is_closed_while_its_window_is_decoded_is_forgotten(engine: WhisperEngine) -> None:
    for session_id in ("a", "b"):
        engine.open(session_id, ENGLISH)
        engine.feed(session_id, SPOKEN)
    engine.step()
    engine.close("a")
    engine.finish("b")
    outputs = drained(engine)
    assert set(outputs) == {"b"}
    assert edits(normalised(SENTENCES[4]), normalised(text_of(outputs["b"]))) <= 1
    assert not engine.ready()


def test_each_window_is_a_pass_of_its_own(engine: WhisperEngine) -> None:
    assert isinstance(engine, Timed)
    engine.take_passes()
    for session_id in ("a", "b", "c"):
        engine.open(session_id, ENGLISH)
        engine.feed(session_id, SPOKEN[: 2 * SAMPLE_RATE_HZ])
        engine.finish(session_id)
    outputs = drained(engine)
    passes = engine.take_passes()
    assert len(passes) >= sum(len(finals(outputs[session_id])) for session_id in ("a", "b", "c")) >= 3
    assert {one.sessions for one in passes} == {1}
    assert all(one.pass_ms > 0 for one in passes)
    assert engine.take_passes() == []


def test_recording_and_live_speech_take_turns_on_one_thread(single: WhisperEngine) -> None:
    for session_id, options in (("a", replace(FILE, language="en")), ("b", ENGLISH)):
        single.open(session_id, options)
    single.feed("a", np.concatenate([synthesise("Good morning."), silence(3)] * 3))
    single.finish("a")
    order = []
    for start in range(0, 6 * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ):
        single.feed("b", np.tile(SPOKEN, 3)[start : start + SAMPLE_RATE_HZ])
        order += [(session_id, type(output)) for session_id, output in single.step()]
    assert min(order.count(("a", Final)), order.count(("b", Partial))) >= 2
