"""Recordings beside live sessions: nobody who speaks waits, and recordings take turns."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from tests.bench.scoring import normalised
from tests.engine_sessions import by_session, drained, finals, lent, partials, stepped, text_of
from tests.integration.whisper_sessions import FILE, LIVE, QUIET, shared_model
from tests.speech import SENTENCES, silence, synthesise
from worker.engines.base import Final, Finished
from worker.engines.whisper.engine import WhisperEngine
from worker.engines.whisper.settings import WhisperSettings

COMMANDS = ("Turn on the lights.", "Read my messages.", "Good morning.", "Turn on the lights.")


@pytest.fixture
def engine() -> Iterator[WhisperEngine]:
    yield from lent(shared_model())


def windows_of(*texts: str) -> NDArray[np.float32]:
    """A recording in which a pause after each text ends a window."""
    return np.concatenate([part for text in texts for part in (synthesise(text), silence(3))])


def order_of_finals(engine: WhisperEngine) -> list[str]:
    return [session_id for session_id, output in stepped(engine) if isinstance(output, Final)]


def test_nobody_who_speaks_waits_for_a_recording(engine: WhisperEngine) -> None:
    """One window of the recording is decoded while live text goes out."""
    for session_id, options in (("a", replace(FILE, language="en")), ("b", replace(LIVE, language="en"))):
        engine.open(session_id, options)
    engine.feed("a", windows_of(*COMMANDS))
    engine.finish("a")
    engine.feed("b", synthesise(SENTENCES[4])[: 2 * SAMPLE_RATE_HZ])
    first = by_session(engine.step())
    assert first["b"]
    assert not finals(first.get("a", []))
    outputs = drained(engine)
    assert len(finals(outputs["a"])) == len(COMMANDS)
    assert isinstance(outputs["a"][-1], Finished)


def test_partials_do_not_wait_for_many_windows_of_recordings(engine: WhisperEngine) -> None:
    """There are more windows than a step can have, and all but the live one would become final."""
    for session_id, options in (("a", FILE), ("b", LIVE)):
        engine.open(session_id, replace(options, language="en"))
    count = WhisperSettings().max_jobs + 1
    engine.feed("a", windows_of(*["Stop."] * count))
    engine.finish("a")
    engine.feed("b", synthesise(SENTENCES[4])[: 2 * SAMPLE_RATE_HZ])
    assert partials(by_session(engine.step())["b"])


def test_final_of_a_session_without_partials_does_not_wait_for_recordings(engine: WhisperEngine) -> None:
    for session_id, options in (("a", FILE), ("b", QUIET)):
        engine.open(session_id, replace(options, language="en"))
    engine.feed("a", windows_of(*COMMANDS[:3]))
    engine.finish("a")
    engine.feed("b", synthesise("Good morning."))
    engine.finish("b")
    first = by_session(engine.step())
    assert finals(first["b"])
    assert not finals(first.get("a", []))
    assert len(finals(drained(engine)["a"])) == 3


def test_recordings_take_turns_beside_a_live_session(engine: WhisperEngine) -> None:
    """A short recording does not wait until a long one that came before it has been transcribed."""
    for session_id, options in (("a", FILE), ("b", FILE), ("c", LIVE)):
        engine.open(session_id, replace(options, language="en"))
    engine.feed("a", windows_of(*COMMANDS))
    engine.feed("b", synthesise("Good morning."))
    for session_id in ("a", "b"):
        engine.finish(session_id)
    assert order_of_finals(engine) == ["a", "b", "a", "a", "a"]


def test_recordings_take_turns_before_their_languages_are_known(engine: WhisperEngine) -> None:
    for session_id in ("a", "b"):
        engine.open(session_id, FILE)
    engine.open("c", replace(LIVE, language="en"))
    engine.feed("a", windows_of(*COMMANDS))
    engine.feed("b", synthesise("Good morning."))
    for session_id in ("a", "b"):
        engine.finish(session_id)
    assert order_of_finals(engine).index("b") < 2


def test_recording_fills_a_step_while_a_session_without_partials_is_silent(engine: WhisperEngine) -> None:
    engine.open("b", replace(QUIET, language="en"))
    engine.open("a", replace(FILE, language="en"))
    engine.feed("a", windows_of(*COMMANDS))
    engine.finish("a")
    assert len(finals(by_session(engine.step())["a"])) == len(COMMANDS)


def test_recording_fills_a_step_when_nobody_speaks(engine: WhisperEngine) -> None:
    engine.open("a", replace(FILE, language="en"))
    engine.feed("a", windows_of(*COMMANDS))
    engine.finish("a")
    assert len(finals(by_session(engine.step())["a"])) == len(COMMANDS)


def test_recording_that_is_closed_while_it_is_decoded_says_nothing_more(engine: WhisperEngine) -> None:
    for session_id, options in (("a", replace(FILE, language="en")), ("b", replace(LIVE, language="en"))):
        engine.open(session_id, options)
    engine.feed("a", synthesise(SENTENCES[0]))
    engine.finish("a")
    engine.feed("b", synthesise(SENTENCES[4])[: 2 * SAMPLE_RATE_HZ])
    engine.step()
    engine.close("a")
    engine.feed("b", silence(1))
    assert set(drained(engine)) == {"b"}
    engine.open("a", replace(FILE, language="en"))
    engine.feed("a", synthesise(SENTENCES[1]))
    engine.finish("a")
    assert normalised(text_of(drained(engine)["a"])) == normalised(SENTENCES[1])
