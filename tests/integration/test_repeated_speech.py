"""Words are written as often as they are said, and single words are heard, live and in recordings."""

import numpy as np
import pytest
import soxr

from tests.bench.scoring import normalised
from tests.integration.whisper_sessions import shared_decoder
from tests.speech import SAMPLE_RATE_HZ, silence, synthesise
from worker.engines.whisper.decoder import WhisperDecoder
from worker.engines.whisper.jobs import Job
from worker.engines.whisper.transcript import joined


@pytest.fixture
def decoder() -> WhisperDecoder:
    return shared_decoder()


@pytest.mark.parametrize("is_live", [False, True])
@pytest.mark.parametrize(
    ("text", "seed", "lead_s"),
    [
        ("Left, left, left, right, left.", 1, 0.0),
        ("Left, left, left, right, left.", 2, 0.0),
        ("Volume down.", 0, 0.3),
        ("Read my messages.", 8, 0.3),
    ],
)
def test_words_are_written_as_often_as_they_are_said(
    decoder: WhisperDecoder, text: str, seed: int, lead_s: float, is_live: bool
) -> None:
    pcm = np.concatenate([silence(lead_s), synthesise(text, seed)])
    [heard] = decoder.run([Job(pcm, language="en", is_live=is_live, closing=True, beam_below=-0.4)])
    assert normalised(joined(heard.words)) == normalised(text)


@pytest.mark.parametrize("is_live", [False, True])
def test_unlikely_answer_is_decoded_again_in_a_longer_window(decoder: WhisperDecoder, is_live: bool) -> None:
    high = soxr.resample(synthesise("Who won?", speed=1 / 1.1), SAMPLE_RATE_HZ * 1.1, SAMPLE_RATE_HZ)
    pcm = np.concatenate([silence(0.3), high.astype(np.float32)])
    [heard] = decoder.run([Job(pcm, language="en", is_live=is_live, closing=True, beam_below=-0.4)])
    assert heard.log_probability > -1.2  # in the short window: "She wants.", with -1.6 or -1.45
    assert all(word.end_samples <= len(pcm) for word in heard.words)
