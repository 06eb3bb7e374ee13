from pathlib import Path

import pytest
import torch

from tests.tiny.voxtral import write_checkpoint
from tests.voxtral.reference import SAMPLE_RATE_HZ, Reference, murmur
from worker.engines.voxtral.features import Recording, Spectrograms
from worker.engines.voxtral.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.mark.parametrize("samples", [1, 300, 20_000, 479_900, 480_000, 480_001, 700_000, 960_000, 960_010])
def test_spectrogram_is_that_of_transformers(checkpoint: Path, samples: int) -> None:
    pcm = murmur(samples, samples / SAMPLE_RATE_HZ)
    assert len(pcm) == samples
    recording = Recording(Spectrograms(Vocabulary(checkpoint / "tekken.json").audio_config, "cpu"), pcm)
    while recording.measured_windows < recording.windows:
        recording.measure(1)
    windows = [recording.take(index, 1) for index in range(recording.windows)]
    torch.testing.assert_close(torch.cat(windows), Reference(checkpoint).features(pcm), rtol=0, atol=1e-5)
