"""Which file embeds voices on this worker, and its name. Reads no model."""

import hashlib
from functools import cache
from pathlib import Path

from worker.model_files import SPEAKER_ENCODER


def is_available(path: Path | None) -> bool:
    """Whether the file exists. `path`: `speakers.model_path`."""
    return (SPEAKER_ENCODER.path if path is None else path).is_file()


@cache
def model_name(path: Path | None) -> str:
    """The name in stored embeddings, which cannot be compared with those of other models. Empty without a file."""
    if not is_available(path):
        return ""
    if path is None:
        return "ge2e"
    return f"onnx-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
