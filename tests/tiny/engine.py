"""The engine of Voxtral Realtime with a tiny checkpoint, in this process."""

from pathlib import Path
from typing import Any

from shared.config.settings import Settings
from shared.session_options import DELAYS_MS
from tests.tiny.checkpoint import DIRECTORY
from worker.engines.registry import REALTIME, load_engine

ENOUGH_SLOTS = len(DELAYS_MS)
"""An engine warms up in one round, with a slot for each delay. With two slots it takes eight, and two seconds."""


def loaded_realtime(path: Path = DIRECTORY, spectrogram: dict[str, int] | None = None, **model: Any) -> Any:
    """On a CPU in one thread, not yet warm. `model` holds further settings; the trained checkpoint without a `path`."""
    values = {"name": REALTIME, "path": path, "device": "cpu", "threads": 1} | model
    return load_engine(Settings(model=values, spectrogram=spectrogram or {}))  # type: ignore[arg-type]
