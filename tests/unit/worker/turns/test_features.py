import numpy as np
import pytest
from transformers import WhisperFeatureExtractor

from tests.speech import SENTENCES, synthesise
from worker.turns.features import FRAMES, MELS, WINDOW_SAMPLES, log_mel

EXTRACTOR = WhisperFeatureExtractor(chunk_length=8)


def of_extractor(pcm: np.ndarray) -> np.ndarray:
    padded = np.pad(pcm[-WINDOW_SAMPLES:], (max(0, WINDOW_SAMPLES - len(pcm)), 0))
    found = EXTRACTOR(
        padded,
        sampling_rate=16_000,
        return_tensors="np",
        padding="max_length",
        max_length=WINDOW_SAMPLES,
        truncation=True,
        do_normalize=True,
    )
    return np.asarray(found.input_features[0])


@pytest.mark.parametrize(
    "pcm",
    [
        synthesise(SENTENCES[0]),
        np.tile(synthesise(SENTENCES[0]), 4),
        np.zeros(16_000, np.float32),
        np.random.default_rng(0).standard_normal(100_000).astype(np.float32) * 1e-4,
        np.empty(0, np.float32),
    ],
    ids=["short speech", "long speech", "silence", "quiet noise", "nothing"],
)
def test_log_mel_equals_the_extractor_of_the_training(pcm: np.ndarray) -> None:
    found = log_mel(pcm)
    assert found.shape == (MELS, FRAMES)
    assert np.abs(found - of_extractor(pcm)).max() < 5e-5  # it computes in float32
