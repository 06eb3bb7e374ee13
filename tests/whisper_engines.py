"""Whisper engines for tests and benchmarks."""

from pathlib import Path

from shared.whisper_models import EMBEDDED_WHISPER
from worker.engines.whisper.engine import WhisperEngine
from worker.engines.whisper.placement import Placement
from worker.engines.whisper.settings import WhisperSettings
from worker.engines.whisper.weights import model_directory


def load(
    path: Path | None = None,
    *,
    threads: int = 2,
    compute_type: str = "int8",
    slots: int = 16,
    settings: WhisperSettings | None = None,
) -> WhisperEngine:
    """An engine on the CPU that is not warm, of the embedded model or of the one in a directory."""
    placement = Placement(compute_type=compute_type, threads=threads)
    directory = model_directory(None if path is None else str(path))
    model = EMBEDDED_WHISPER if path is None else str(path)
    return WhisperEngine(directory, placement, settings or WhisperSettings(), model=model, slots=slots)
