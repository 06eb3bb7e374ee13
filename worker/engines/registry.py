"""Which engine serves which model name, and whether this machine can run it."""

import os
from typing import Final

import structlog

from shared.config import Settings
from shared.errors import StartupError
from worker.engines.base import Engine
from worker.engines.echo import EchoEngine
from worker.gpu import gpu_count

WHISPER: Final = "whisper-base"
ECHO: Final = "echo"
MAX_AUTO_THREADS: Final = 4
DEFAULT_SLOTS: Final = 16

log = structlog.get_logger()


def load_engine(settings: Settings) -> Engine:
    """The engine for `model.name`, loaded but not warm.

    Raises `StartupError` that names the setting when the model is not to be had here. A named model is never
    replaced by another one.
    """
    name = settings.model.name
    if name == "auto":
        name = WHISPER
        log.info("model_chosen", model=name, reason="model.name is auto")
    if name == ECHO:
        return EchoEngine(settings.model.slots or DEFAULT_SLOTS)
    if name == WHISPER:
        return _load_whisper(settings)
    raise StartupError(f"Setting model.name is {name!r}; this version serves auto, {WHISPER} and {ECHO}.")


def _load_whisper(settings: Settings) -> Engine:
    from worker.engines.whisper.engine import load  # noqa: PLC0415 -- a library that other engines do not need

    if settings.model.device not in ("auto", "cpu"):
        found = f"{gpu_count()} GPUs were found" if gpu_count() else "no GPU was found"
        raise StartupError(
            f"Setting model.device is {settings.model.device!r}, but {WHISPER} runs on the CPU ({found}); "
            "allowed: auto, cpu."
        )
    if settings.model.torch_dtype not in ("auto", "float32"):
        raise StartupError(
            f"Setting model.torch_dtype is {settings.model.torch_dtype!r}, but {WHISPER} runs in int8; "
            "allowed: auto, float32."
        )
    threads = settings.model.threads or min(os.cpu_count() or 1, MAX_AUTO_THREADS)
    engine = load(path=settings.model.path, slots=settings.model.slots or DEFAULT_SLOTS, threads=threads)
    _check_spectrogram(settings, engine.spectrogram)
    return engine


def _check_spectrogram(settings: Settings, actual: dict[str, int]) -> None:
    for key, wanted in settings.spectrogram.model_dump(exclude_none=True).items():
        if wanted != actual[key]:
            raise StartupError(
                f"Setting spectrogram.{key} is {wanted}, but the model {settings.model.name} uses {actual[key]}; "
                "remove the setting or choose the model it belongs to."
            )
