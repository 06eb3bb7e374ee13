"""Selects the engine for a model name, and checks whether this machine can run it."""

import os
from dataclasses import replace
from typing import Final

import structlog

from shared.config.settings import Settings
from shared.errors import StartupError
from shared.gpus import largest_gpu, memory_bytes, visible_gpus
from shared.whisper_models import ANY_WHISPER, WHISPER_MODELS, is_whisper
from worker.engines.auto import REALTIME, Choice, choose, choose_by_files
from worker.engines.base import Engine
from worker.engines.echo import EchoEngine
from worker.engines.loading.libraries import require_sherpa_library, require_voxtral_libraries
from worker.engines.loading.spectrogram import check_spectrogram
from worker.progress import STARTING, Phase

ECHO: Final = "echo"
SHERPA: Final = "sherpa"
VOXTRAL: Final = ("mistralai/Voxtral-Mini-3B-2507", "mistralai/Voxtral-Small-24B-2507")
WHISPER_WEIGHTS: Final = "model.bin"
REALTIME_SETTINGS: Final = ("attention", "kv_dtype", "weight_dtype")
"""Settings in `model` that only Voxtral Realtime has."""
VOXTRAL_SETTINGS: Final = ("attn_implementation", "compile")
"""Settings in `model` that only Voxtral models have."""
NOT_WANTED: Final = ("auto", "off")
"""Values that every model satisfies."""
MAX_AUTO_THREADS: Final = 4
DEFAULT_SLOTS: Final = 16

log = structlog.get_logger()


def load_engine(settings: Settings) -> Engine:
    """The engine for `model.name`, loaded but not warm.

    Raises a `StartupError` that names the setting if the model cannot run here. A named model is never
    replaced by another one.
    """
    if settings.model.name != "auto":
        return _load(settings)
    choice, settings = _choose(settings)
    engine = _load(settings)
    engine.info = replace(engine.info, reason=choice.reason)
    return engine


def _choose(settings: Settings) -> tuple[Choice, Settings]:
    """The model that `auto` chooses here, and the settings for it: if chosen for a device, it must run there."""
    model = settings.model
    gpus = len(visible_gpus()) if model.device != "cpu" else 0
    device = f"cuda:{largest_gpu()}" if gpus and model.device == "auto" else model.device
    if model.path is not None:
        choice = choose_by_files(gpus, of_whisper=(model.path.expanduser() / WHISPER_WEIGHTS).is_file())
    else:
        choice = choose(gpus, memory_bytes(device)[1] if gpus else None, device)
    log.info("model_chosen", model=choice.model, reason=choice.reason, gpus=gpus)
    changes: dict[str, object] = {"name": choice.model}
    if gpus and model.device == "auto":
        changes["device"] = device if choice.on_gpu else "cpu"
    return choice, settings.model_copy(update={"model": model.model_copy(update=changes)})


def _load(settings: Settings) -> Engine:
    name = settings.model.name
    STARTING.begin(Phase.LOAD, name)
    if name != REALTIME:
        _check_settings_of_others(settings, name)
    if name == ECHO or name.startswith(f"{ECHO}:"):  # any name, to run several models side by side
        return EchoEngine(settings.model.slots or DEFAULT_SLOTS, name)
    if is_whisper(name):
        return _load_whisper(settings, name)
    if name == REALTIME or name in VOXTRAL:
        _check_precision(settings, name)
        return _load_realtime(settings, name) if name == REALTIME else _load_voxtral(settings, name)
    if name == SHERPA or name.startswith(f"{SHERPA}:"):
        return _load_sherpa(settings, name)
    served = ", ".join(("auto", *WHISPER_MODELS, ANY_WHISPER, REALTIME, *VOXTRAL, SHERPA, ECHO))
    raise StartupError(f"Setting model.name is {name!r}; allowed: {served}.")


def _check_settings_of_others(settings: Settings, name: str) -> None:
    """Raises a `StartupError` for a setting that has no effect on the model `name`."""
    keys = dict.fromkeys(REALTIME_SETTINGS, REALTIME)
    if name not in VOXTRAL:
        keys |= dict.fromkeys(VOXTRAL_SETTINGS, "Voxtral")
    for key, owner in keys.items():
        if (value := getattr(settings.model, key)) not in NOT_WANTED:
            model = "that model" if owner == REALTIME else "one of Voxtral's models"
            raise StartupError(
                f"Setting model.{key} is {value!r}, which is of {owner} and not of {name}; set it to auto, or "
                f"model.name to {model}."
            )


def _check_precision(settings: Settings, name: str) -> None:
    if settings.model.compute_type != "auto":
        raise StartupError(
            f"Setting model.compute_type is {settings.model.compute_type!r}, which is only for Whisper models; "
            f"set it to auto, and set model.torch_dtype to the precision of {name}."
        )


def _load_whisper(settings: Settings, name: str) -> Engine:
    from worker.engines.whisper.loading import load_whisper  # noqa: PLC0415 -- a library that other engines do not need

    return load_whisper(settings, name, default_slots=DEFAULT_SLOTS, threads=_threads(settings))


def _load_realtime(settings: Settings, name: str) -> Engine:
    require_voxtral_libraries(name)
    from worker.engines.voxtral_realtime.loading import load_realtime  # noqa: PLC0415 -- needs the library checked above

    return load_realtime(settings, name, default_slots=DEFAULT_SLOTS, threads=_threads(settings))


def _load_voxtral(settings: Settings, name: str) -> Engine:
    require_voxtral_libraries(name)
    from worker.engines.voxtral.engine import load  # noqa: PLC0415 -- needs the library checked above

    slots = settings.model.slots or DEFAULT_SLOTS
    engine = load(settings.model, name=name, slots=slots, threads=_threads(settings))
    check_spectrogram(settings.spectrogram, engine.spectrogram, name)
    return engine


def _load_sherpa(settings: Settings, name: str) -> Engine:
    if settings.model.device not in ("auto", "cpu"):
        raise StartupError(
            f"Setting model.device is {settings.model.device!r}, but {name} runs on the CPU; allowed: auto, cpu."
        )
    for key in ("torch_dtype", "compute_type"):
        if (value := getattr(settings.model, key)) != "auto":
            raise StartupError(
                f"Setting model.{key} is {value!r}, but {name} runs in the precision of its files; allowed: auto."
            )
    require_sherpa_library(name)
    from worker.engines.sherpa.engine import load  # noqa: PLC0415 -- needs the library checked above

    return load(settings, name, default_slots=DEFAULT_SLOTS, threads=_threads(settings))


def _threads(settings: Settings) -> int:
    return settings.model.threads or min(os.cpu_count() or 1, MAX_AUTO_THREADS)
