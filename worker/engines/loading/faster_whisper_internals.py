"""The parts of faster-whisper's internals that workers use: its tables, and a file of its package.

Its decoding loop is not used. `WhisperModel` decodes one recording at a time, in windows of 30 s; the engine here
batches the windows of all sessions and cuts them to their audio (`worker.engines.whisper.decoder` has the figures).

`tests/unit/worker/engines/loading/test_faster_whisper_internals.py` fails when faster-whisper changes what this relies
on.
"""

from pathlib import Path

import faster_whisper
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import _LANGUAGE_CODES, Tokenizer
from faster_whisper.utils import _MODELS

__all__ = ["LANGUAGE_CODES", "REPOSITORIES", "SILERO_VAD", "FeatureExtractor", "Tokenizer"]

LANGUAGE_CODES: tuple[str, ...] = tuple(_LANGUAGE_CODES)
"""ISO 639-1 codes of the languages that a Whisper model may support, in the order of their tokens."""
REPOSITORIES: dict[str, str] = dict(_MODELS)
"""The Hub repository of each short name: `small.en`."""
SILERO_VAD = Path(faster_whisper.__file__).parent / "assets" / "silero_vad_v6.onnx"
"""The network of the VAD, in ONNX."""
