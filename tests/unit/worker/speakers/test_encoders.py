"""The models that embed voices: the installed one against PyTorch, and others by what their input looks like."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from shared.errors import StartupError
from tests.unit.worker.speakers.voices import tone
from worker.model_files import SPEAKER_ENCODER
from worker.speakers import fbank, mel
from worker.speakers.checkpoint import read_tensors
from worker.speakers.encoders import LEVEL, load_encoder
from worker.speakers.onnx_file import Node, Value, onnx_file

Floats = NDArray[np.float32]


def noise(samples: int, seed: int = 0) -> Floats:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def mel_spectrogram(pcm: Floats) -> Floats:
    """What librosa computes with the same numbers, without its compiler, which takes 15 s for the first call."""
    filters = mel_filter_bank(201, 40, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    return spectrogram(
        pcm, window_function(400, "hann"), 400, 160, power=2.0, pad_mode="constant", mel_filters=filters, mel_floor=0.0
    ).astype(np.float32)


def torch_embedding(pcm: Floats) -> Floats:
    """What Resemblyzer computes from the same file."""
    weights = {name: torch.tensor(value) for name, value in read_tensors(SPEAKER_ENCODER.read(), "model_state").items()}
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    lstm.load_state_dict({name[5:]: value for name, value in weights.items() if name.startswith("lstm.")})
    linear.load_state_dict({name[7:]: value for name, value in weights.items() if name.startswith("linear.")})
    levelled = pcm * np.float32(LEVEL / np.sqrt(np.mean(pcm**2)))
    frames = mel_spectrogram(levelled)
    with torch.no_grad():
        _, (hidden, _) = lstm(torch.tensor(frames.T[None, : len(pcm) // 160]))
        raw = torch.relu(linear(hidden[-1]))[0]
        return np.asarray(raw / raw.norm())


@pytest.mark.usefixtures("one_thread")
def test_embeddings_are_those_of_pytorch() -> None:
    encoder = load_encoder(None)
    pieces = [noise(25_600, 1), tone(1.6, 140.0), noise(9_600, 2), tone(1.6, 90.0)]
    for pcm, vector in zip(pieces, encoder.embed(pieces), strict=True):
        assert np.allclose(vector, torch_embedding(pcm), atol=1e-4)
    assert (encoder.name, encoder.size) == ("ge2e", 256)


def test_loudness_does_not_change_an_embedding() -> None:
    loud, quiet = load_encoder(None).embed([noise(25_600), noise(25_600) * np.float32(0.01)])
    assert loud @ quiet > 0.9999


def test_mel_spectrogram_is_that_of_transformers() -> None:
    pcm = noise(16_000)
    assert np.allclose(mel.spectrogram(pcm), mel_spectrogram(pcm).T, rtol=1e-3, atol=1e-5)


def test_filter_banks_have_kaldis_frames_and_the_mean_subtracted() -> None:
    features = fbank.features(tone(1.0, 1000.0))
    assert features.shape == (98, 80)
    assert np.abs(features.mean(axis=0)).max() < 1e-3
    assert fbank.filters().max() <= 1.0
    at_1_khz = fbank.filters()[:, 32]  # 32 × 16000 / 512 Hz
    low, high = 1127 * np.log1p(20 / 700), 1127 * np.log1p(8000 / 700)
    position = (1127 * np.log1p(1000 / 700) - low) / ((high - low) / 81) - 1
    assert np.argmax(at_1_khz) in (int(position), int(position) + 1)
    assert at_1_khz.sum() == pytest.approx(1.0)


def network(path: Path, shape: list[str | int], axes: list[int]) -> Path:
    """A model that embeds by the mean of its input over some axes."""
    nodes = [
        Node("Abs", ["input"], ["positive"], {}),
        Node("ReduceSum", ["positive", "axes"], ["output"], {"keepdims": 0}),
    ]
    weights = {"axes": np.array(axes)}
    file = path / "model.onnx"
    file.write_bytes(onnx_file(nodes, weights, [Value("input", shape)], [Value("output", ["batch", "values"])]))
    return file


def test_model_of_filter_banks_gets_them(tmp_path: Path) -> None:
    encoder = load_encoder(network(tmp_path, ["batch", "frames", 80], [1]))
    pcm = noise(16_000)
    expected = np.abs(fbank.features(pcm)).sum(axis=0)
    assert np.allclose(encoder.embed([pcm])[0], expected / np.linalg.norm(expected), atol=1e-4)
    assert encoder.name.startswith("onnx-")


@pytest.mark.parametrize("shape", [["batch", 1, "samples"], [1, 1, "samples"]])
def test_model_of_samples_gets_them(tmp_path: Path, shape: list[str | int]) -> None:
    encoder = load_encoder(network(tmp_path, shape, [1]))
    first, second = encoder.embed([noise(16_000, 1), noise(16_000, 2)])
    assert np.allclose(first, np.abs(noise(16_000, 1)) / np.linalg.norm(noise(16_000, 1)), atol=1e-4)
    assert not np.allclose(first, second)


def test_model_with_another_input_is_rejected_with_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"shape \['batch', 'frames', 64\]; allowed: .*\[batch, frames, 80\]"):
        load_encoder(network(tmp_path, ["batch", "frames", 64], [1]))


def test_model_of_windows_of_one_length_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"does not embed 1\.6 s and 0\.4 s of audio"):
        load_encoder(network(tmp_path, ["batch", 158, 80], [1]))


def test_file_that_is_no_model_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(StartupError, match="cannot load"):
        load_encoder(tmp_path / "model.onnx")
