"""Which engine serves which model name, and whether this machine can run it."""

import os
from typing import Final

import structlog

from shared.config import Settings
from shared.errors import StartupError
from worker.engines.base import Engine
from worker.engines.echo import EchoEngine
from worker.engines.libraries import require_voxtral_libraries
from worker.engines.spectrogram import check_spectrogram
from worker.gpu import gpu_count

WHISPER: Final = "whisper-base"
ECHO: Final = "echo"
REALTIME: Final = "mistralai/Voxtral-Mini-4B-Realtime-2602"
VOXTRAL: Final = ("mistralai/Voxtral-Mini-3B-2507", "mistralai/Voxtral-Small-24B-2507")
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
        name, settings = _choose(settings)
    if name == ECHO or name.startswith(f"{ECHO}:"):  # a model of any name, to see several side by side
        return EchoEngine(settings.model.slots or DEFAULT_SLOTS, name)
    if name == WHISPER:
        return _load_whisper(settings)
    if name == REALTIME:
        return _load_realtime(settings, name)
    if name in VOXTRAL:
        return _load_voxtral(settings, name)
    served = ", ".join(("auto", WHISPER, REALTIME, *VOXTRAL, ECHO))
    raise StartupError(f"Setting model.name is {name!r}; allowed: {served}.")


def _choose(settings: Settings) -> tuple[str, Settings]:
    """What `auto` stands for here. Where it is chosen for the GPU, it must run there and nowhere else."""
    gpus = gpu_count() if settings.model.device != "cpu" else 0
    name = REALTIME if gpus else WHISPER
    log.info("model_chosen", model=name, reason="model.name is auto", gpus=gpus)
    if gpus and settings.model.device == "auto":
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"device": "cuda"})})
    return name, settings


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
    slots = settings.model.slots or DEFAULT_SLOTS
    engine = load(path=settings.model.path, slots=slots, threads=_threads(settings))
    check_spectrogram(settings.spectrogram, engine.spectrogram, settings.model.name)
    return engine


def _load_realtime(settings: Settings, name: str) -> Engine:
    require_voxtral_libraries(name)
    from worker.engines.voxtral_realtime.loading import load_realtime  # noqa: PLC0415 -- needs what was checked just now

    return load_realtime(settings, name, default_slots=DEFAULT_SLOTS, threads=_threads(settings))


def _load_voxtral(settings: Settings, name: str) -> Engine:
    require_voxtral_libraries(name)
    from worker.engines.voxtral.engine import load  # noqa: PLC0415 -- needs what was checked just now

    slots = settings.model.slots or DEFAULT_SLOTS
    engine = load(settings.model, name=name, slots=slots, threads=_threads(settings))
    check_spectrogram(settings.spectrogram, engine.spectrogram, name)
    return engine


def _threads(settings: Settings) -> int:
    return settings.model.threads or min(os.cpu_count() or 1, MAX_AUTO_THREADS)
