"""The names of Whisper models: for operators in `model.name`, for clients in `model`.

Only the worker knows where their files are.
"""

from pathlib import Path
from typing import Final

EMBEDDED_WHISPER: Final = "whisper-base"
"""Its weights are installed with the service."""
ANY_WHISPER: Final = "whisper"
"""A name for operators: the Whisper in `model.path`."""
WHISPER_MODELS: Final = (
    "whisper-tiny.en",
    "whisper-tiny",
    "whisper-base.en",
    "whisper-base",
    "whisper-distil-small.en",
    "whisper-small.en",
    "whisper-small",
    "whisper-distil-medium.en",
    "whisper-medium.en",
    "whisper-medium",
    "whisper-large-v1",
    "whisper-distil-large-v2",
    "whisper-distil-large-v3",
    "whisper-distil-large-v3.5",
    "whisper-large-v2",
    "whisper-large-v3-turbo",
    "whisper-large-v3",
)
"""The most accurate last. English-only models come before the multilingual ones of the same size."""
WHISPER_ALIASES: Final = {"whisper-turbo": "whisper-large-v3-turbo", "whisper-large": "whisper-large-v3"}


def whisper_model(name: str) -> str:
    """The model that a name means; the name itself if it is not an alias."""
    return WHISPER_ALIASES.get(name.casefold(), name)


def shown_name(name: str, path: str | None) -> str:
    """The name that `/status` shows and that clients request.

    A named model keeps its name wherever its files come from. For `whisper`, and for the embedded model if `model.path`
    replaces its weights, it is the last part of the directory, or the Hub repository, or the model that faster-whisper
    calls so: `whisper-small.en` for `small.en`.
    """
    name = whisper_model(name)
    if path is None or name not in (ANY_WHISPER, EMBEDDED_WHISPER):
        return name
    local = Path(path).expanduser()
    if local.is_dir():
        return local.resolve().name
    named = whisper_model(f"whisper-{path}")
    return named if named in WHISPER_MODELS else path


def is_whisper(name: str) -> bool:
    """Whether it is a Whisper that `model.name` allows."""
    return name == ANY_WHISPER or whisper_model(name) in WHISPER_MODELS


def accuracy_rank(name: str) -> int:
    """0 for the most accurate Whisper; unlisted names rank last."""
    known = WHISPER_MODELS.index(name) if name in WHISPER_MODELS else -1
    return len(WHISPER_MODELS) - 1 - known
