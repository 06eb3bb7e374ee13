"""The models that embed voices: the installed GE2E encoder, or an ONNX file from `speakers.model_path`.

Audio goes in as windows of at least 0.4 s, unit vectors come out. Each call uses one thread.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.errors import StartupError
from worker.model_files import SPEAKER_ENCODER
from worker.onnx_networks import load_network
from worker.speakers import fbank
from worker.speakers.clusters import GE2E, GE2E_NARROW, OTHER, Thresholds
from worker.speakers.ge2e import ge2e_onnx
from worker.speakers.mel import spectrogram
from worker.speakers.model_file import model_name
from worker.speakers.sizes import LENGTH_SAMPLES, SHORTEST_SAMPLES

Floats = NDArray[np.float32]

LEVEL: Final = 10.0 ** (-30 / 20)
"""Each window is brought to -30 dBFS for GE2E, whose training data had this level."""
BATCH: Final = 16
_QUIETEST: Final = 1e-5


class Encoder:
    """`name` goes into stored embeddings, since those of different models cannot be compared."""

    def __init__(
        self, name: str, thresholds: Thresholds, narrow: Thresholds, network: Callable[[Floats], Floats]
    ) -> None:
        """`network`: `[windows, samples]` → `[windows, values]`. `narrow`: the thresholds for telephone lines."""
        self.name = name
        self.thresholds = thresholds
        self.narrow = narrow
        self._network = network
        probe = np.sin(np.arange(LENGTH_SAMPLES) / 9).astype(np.float32)
        self.size = len(self.embed([probe, probe[:SHORTEST_SAMPLES]])[0])
        """Values of an embedding."""

    def embed(self, windows: Sequence[Floats]) -> list[Floats]:
        """The unit vector of each window. Windows of the same length are batched."""
        found: list[Floats] = [np.zeros(0, np.float32)] * len(windows)
        by_length: dict[int, list[int]] = {}
        for at, pcm in enumerate(windows):
            by_length.setdefault(len(pcm), []).append(at)
        for places in by_length.values():
            for start in range(0, len(places), BATCH):
                batch = places[start : start + BATCH]
                raw = self._network(np.stack([windows[at] for at in batch]))
                unit = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-6)
                for at, vector in zip(batch, unit, strict=True):
                    found[at] = vector
        return found


def load_encoder(path: Path | None) -> Encoder:
    """Load the model. Raises StartupError that names the file and the fault."""
    if path is None:
        try:
            session = load_network(ge2e_onnx(SPEAKER_ENCODER.read()))
        except (ValueError, KeyError, UnpicklingError) as error:
            raise StartupError(f"{SPEAKER_ENCODER.path} cannot be used: {error}.") from error
        return Encoder(model_name(None), GE2E, GE2E_NARROW, lambda pcm: _ge2e(session, pcm))
    try:
        session = load_network(str(path))
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise StartupError(f"speakers.model_path is {str(path)!r}, which ONNX Runtime cannot load: {error}") from error
    network = _network(session, path)
    try:
        return Encoder(model_name(path), OTHER, OTHER, network)
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise StartupError(
            f"speakers.model_path is {str(path)!r}, which does not embed 1.6 s and 0.4 s of audio: {error}"
        ) from error


def _ge2e(session: Any, pcm: Floats) -> Floats:
    level = np.sqrt(np.mean(pcm**2, axis=1, keepdims=True))
    levelled = pcm * (LEVEL / np.maximum(level, _QUIETEST)).astype(np.float32)
    mel = np.stack([spectrogram(window)[: pcm.shape[1] // 160] for window in levelled])
    embedded: Floats = session.run(None, {"mel": np.ascontiguousarray(mel.transpose(1, 0, 2))})[0]
    return embedded


def _network(session: Any, path: Path) -> Callable[[Floats], Floats]:
    """By the shape of its input: filter banks `[windows, frames, 80]` as WeSpeaker's models, or samples `[windows,
    samples]` or `[windows, 1, samples]` as ReDimNet's."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else None
    front_ends: dict[str, Callable[[Floats], Floats]] = {
        "fbank": lambda pcm: np.stack([fbank.features(window) for window in pcm]),
        "samples": lambda pcm: pcm,
        "channel": lambda pcm: pcm[:, None],
    }
    kind = _kind(shape)
    if shape is None or kind is None:
        raise StartupError(
            f"speakers.model_path is {str(path)!r}, whose input has the shape {shape}; allowed: one input of shape "
            f"[batch, frames, {fbank.N_MELS}] (filter banks), [batch, samples] or [batch, 1, samples] (16 kHz)."
        )
    name, front_end = inputs[0].name, front_ends[kind]
    one_by_one = isinstance(shape[0], int) and shape[0] == 1

    def run(pcm: Floats) -> Floats:
        features = front_end(pcm)
        batches = [features[at : at + 1] for at in range(len(features))] if one_by_one else [features]
        found = [np.asarray(session.run(None, {name: batch})[0], np.float32) for batch in batches]
        return np.concatenate([one.reshape(len(one), -1) for one in found])

    return run


def _kind(shape: Sequence[Any] | None) -> str | None:
    match shape:
        case [_, _, fbank.N_MELS]:
            return "fbank"
        case [_, 1, length] if not isinstance(length, int):
            return "channel"
        case [_, length] if not isinstance(length, int):
            return "samples"
    return None
