"""The encoder's output, and how much of it the audio fills."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ctranslate2
import numpy as np

from shared.events import SAMPLE_RATE_HZ
from worker.engines.whisper.onnx_model.encoded_window import EncodedWindow

FRAMES_PER_S = 100
MAX_WINDOW_S = 30.0
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FRAMES_PER_S
ALIGNED_BEYOND_S = 0.3
"""The alignment covers a little more than the audio, so that the token that ends the text has a position."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Windows that were encoded together."""

    rows: Any
    """One for each window: a `ctranslate2.StorageView`."""
    window: EncodedWindow | None = None
    """The only window, if ONNX Runtime decodes it."""


def chosen(encoded: Any, rows: Sequence[int]) -> Any:
    """Some rows of the encoder's output.

    Only this copies it to the host: for word times in batches of several languages, beams and key terms.
    """
    on_host = np.array(encoded.to_device(ctranslate2.Device.cpu))
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(on_host[rows]))


def aligned_frames(samples: int) -> int:
    """The frames that an alignment of so much audio covers."""
    frames = samples // SAMPLES_PER_FRAME + round(ALIGNED_BEYOND_S * FRAMES_PER_S)
    return min(frames, round(MAX_WINDOW_S * FRAMES_PER_S))
