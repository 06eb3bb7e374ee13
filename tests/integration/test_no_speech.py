"""Sounds without words give no text, live and in recordings."""

import pytest

from shared.events import SessionOptions
from tests.bench.screen import Script
from tests.bench.transcripts import transcribe_recording
from tests.bench.virtual_time import Clock, play
from tests.noise_set import KINDS
from worker.engines.whisper.engine import WhisperEngine, load

SECONDS = 6


@pytest.fixture(scope="module")
def engine() -> WhisperEngine:
    return load(threads=2, slots=1)


@pytest.mark.parametrize("kind", KINDS)
def test_live_session_hears_no_words(engine: WhisperEngine, kind: str) -> None:
    script = Script(KINDS[kind](SECONDS, 0), [], [])
    [screen], _, _ = play(engine, Clock(engine, "fixed"), [script], [SessionOptions()])
    assert [sight.text for history in screen.shown.values() for sight in history if sight.text] == []


@pytest.mark.parametrize("kind", KINDS)
def test_recording_has_no_words(engine: WhisperEngine, kind: str) -> None:
    assert transcribe_recording(engine, KINDS[kind](SECONDS, 0), None).text == ""
