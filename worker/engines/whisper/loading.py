"""Loads a Whisper engine from the settings; it is not warm yet. Every failure is a `StartupError` of one sentence."""

from pathlib import Path
from typing import Final

from shared.config.sections import ModelSettings
from shared.config.settings import Settings
from shared.errors import StartupError
from shared.whisper_models import ANY_WHISPER, EMBEDDED_WHISPER, WHISPER_MODELS, shown_name, whisper_model
from worker.engines.loading.spectrogram import check_spectrogram
from worker.engines.whisper.decoder import WhisperDecoder
from worker.engines.whisper.engine import WhisperEngine
from worker.engines.whisper.identity import check_name
from worker.engines.whisper.placement import Placement, asked_compute_type, auto_compute_type, device
from worker.engines.whisper.settings import WhisperSettings
from worker.engines.whisper.sizes import MEMBERS, size_of
from worker.engines.whisper.weights import (
    FORMAT,
    MODEL_FILES,
    WEIGHTS_NAME,
    hub_directory,
    missing_files,
    model_directory,
)

PREFIX: Final = "whisper-"
"""Prefix of faster-whisper's own name of a model."""
GPU_SETTINGS: Final = WhisperSettings(partial_interval_ms=160.0, max_jobs=MEMBERS, load_share=1.67)
GPU_THREADS: Final = 1
"""Batches of several threads would only wait for each other."""
CPU_SETTINGS: Final = WhisperSettings()
ENGLISH_BY_TRAINING: Final = {"whisper-distil-large-v2", "whisper-distil-large-v3", "whisper-distil-large-v3.5"}
"""Their vocabulary has all languages, but they were distilled on English speech only (their model cards)."""
NOT_TRANSLATING: Final = {"whisper-large-v3-turbo"}
"""It answers in the spoken language, even when asked to translate (OpenAI's README)."""

TRANSFORMERS: Final = ("model*.safetensors", "pytorch_model*.bin")
"""Weights of transformers, also if they are split into several files."""
OTHER_FORMATS: Final = ("ggml*.bin", "*.gguf", "*.pt", "*.onnx")
"""Weights of whisper.cpp, of OpenAI's own code, and for ONNX Runtime."""
LFS_POINTER: Final = b"version https://git-lfs"
"""What a clone without Git LFS has instead of a large file."""


def load_whisper(settings: Settings, name: str, *, default_slots: int, threads: int) -> WhisperEngine:
    """The engine for the name of a Whisper model, with the files in `model.path` if that is set."""
    shown, directory, placement = _located(settings.model, name, threads)
    engine = WhisperEngine(
        directory,
        placement,
        GPU_SETTINGS if placement.on_gpu else CPU_SETTINGS,
        model=shown,
        slots=settings.model.slots or default_slots,
    )
    _check_name(name, directory, engine)
    check_spectrogram(settings.spectrogram, engine.spectrogram, shown)
    return engine


def load_decoder(model: ModelSettings, threads: int) -> tuple[str, WhisperDecoder]:
    """The name and the decoder of the Whisper in `model.name`, without an engine, for recorded audio."""
    shown, directory, placement = _located(model, model.name, threads)
    decoder = WhisperDecoder(directory, placement, live=False)
    _check_name(model.name, directory, decoder)
    return shown, decoder


def _check_name(name: str, directory: Path, model: WhisperEngine | WhisperDecoder) -> None:
    name = whisper_model(name)
    if name != EMBEDDED_WHISPER:  # with a path, it is the name of any model
        n_mels, is_multilingual = model.spectrogram["n_mels"], model.is_multilingual
        check_name(name, directory, n_mels=n_mels, is_multilingual=is_multilingual)


def _located(model: ModelSettings, name: str, threads: int) -> tuple[str, Path, Placement]:
    """The model's name as clients see it, its files, and where it runs."""
    path = str(model.path) if model.path is not None else None
    name = whisper_model(name)
    if name == ANY_WHISPER and path is None:
        raise StartupError(
            f"Setting model.name is {ANY_WHISPER!r}, which loads the model in model.path, but model.path is not set; "
            f"set model.path, or set model.name to one of {', '.join(WHISPER_MODELS)}."
        )
    place = device(model.device)
    asked = asked_compute_type(model, place)  # before anything is downloaded
    shown = shown_name(name, path)
    directory = _directory(name, path)
    size = size_of(shown, (directory / WEIGHTS_NAME).stat().st_size)
    return (
        shown,
        directory,
        Placement(
            place,
            asked or auto_compute_type(place, size),
            GPU_THREADS if place != "cpu" else threads,
            feature_threads=threads if place != "cpu" else 1,
            english=shown in ENGLISH_BY_TRAINING,
            translates=shown not in NOT_TRANSLATING,
            size=size,
        ),
    )


def _directory(name: str, path: str | None) -> Path:
    if path is not None:
        directory = model_directory(path)
    elif name == EMBEDDED_WHISPER:
        return model_directory(None)
    else:
        directory = hub_directory(name.removeprefix(PREFIX), named=f"Setting model.name is {name!r}")
    named = f"Setting model.path is {path!r}" if path is not None else f"Setting model.name is {name!r}"
    missing = missing_files(directory)
    if not missing:
        _check_content(named, directory)
        return directory
    if any(file for pattern in TRANSFORMERS for file in directory.glob(pattern)):
        raise StartupError(
            f"{named}, which holds a model of transformers; convert it with `ct2-transformers-converter --model "
            f"{path or directory} --output_dir DIRECTORY --copy_files tokenizer.json preprocessor_config.json` and set "
            "model.path to that directory."
        )
    if other := next((file for pattern in OTHER_FORMATS for file in sorted(directory.glob(pattern))), None):
        raise StartupError(f"{named}, which holds {other.name}, a file in another format; {FORMAT}.")
    raise StartupError(f"{named}, which lacks {', '.join(missing)}; {FORMAT}.")


def _check_content(named: str, directory: Path) -> None:
    for name in MODEL_FILES:
        with (directory / name).open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise StartupError(
                    f"{named}, whose {name} is only a pointer of Git LFS; run `git lfs pull` in it, or copy the file."
                )
