"""Sounds without words give no text, live and in recordings; quiet speech gives its own."""

import numpy as np
import pytest

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.bench.scoring import normalised
from tests.bench.screen import Script
from tests.bench.transcripts import transcribe_recording
from tests.bench.virtual_time import Clock, play
from tests.noise_set import KINDS
from tests.speech import SENTENCES, silence, synthesise
from tests.whisper_engines import load
from worker.engines.whisper.engine import WhisperEngine

SECONDS = 6
QUIET_PEAK = 10 ** (-60 / 20)


@pytest.fixture(scope="module")
def engine() -> WhisperEngine:
    return load(threads=1, slots=1)


@pytest.mark.parametrize("kind", KINDS)
def test_live_session_hears_no_words(engine: WhisperEngine, kind: str) -> None:
    script = Script(KINDS[kind](SECONDS, 0), [], [])
    [screen], _, _ = play(engine, Clock(engine, "fixed"), [script], [SessionOptions()])
    assert [sight.text for history in screen.shown.values() for sight in history if sight.text] == []


@pytest.mark.parametrize("kind", KINDS)
def test_recording_has_no_words(engine: WhisperEngine, kind: str) -> None:
    assert transcribe_recording(engine, KINDS[kind](SECONDS, 0), None).text == ""


@pytest.mark.parametrize("kind", ["pink_noise", "hum", "dither"])
def test_quiet_sounds_give_no_words_either(engine: WhisperEngine, kind: str) -> None:
    """They are as quiet as the quietest speech that is heard."""
    if kind == "dither":
        pcm = np.random.default_rng(0).integers(-1, 2, SECONDS * SAMPLE_RATE_HZ).astype(np.float32) / 32768
    else:
        pcm = KINDS[kind](SECONDS, 1)
        pcm = np.rint(pcm / np.abs(pcm).max() * QUIET_PEAK * 32768).astype(np.float32) / 32768
    [screen], _, _ = play(engine, Clock(engine, "fixed"), [Script(pcm, [], [])], [SessionOptions()])
    assert screen.shown == {}
    assert transcribe_recording(engine, pcm, None).text == ""


def test_speech_gives_the_same_words_at_any_level(engine: WhisperEngine) -> None:
    spoken = np.concatenate([silence(0.5), synthesise(SENTENCES[7]), silence(0.7)])
    texts, options = [], SessionOptions(language="en", partials=False)
    for peak in (1.0, QUIET_PEAK):
        pcm = np.rint(spoken / np.abs(spoken).max() * peak * 32767).astype(np.float32) / 32768
        [screen], _, _ = play(engine, Clock(engine, "fixed"), [Script(pcm, [], [])], [options])
        texts += [screen.text, transcribe_recording(engine, pcm, "en").text]
    assert {tuple(normalised(text)) for text in texts} == {tuple(normalised(SENTENCES[7]))}
