"""The Whisper models that can be named: by operators in `model.name`, by clients in `model`.

Where their files lie is known to the worker alone.
"""

from typing import Final

EMBEDDED_WHISPER: Final = "whisper-base"
"""Its weights are installed with the service."""
ANY_WHISPER: Final = "whisper"
"""Of an operator: the model in `model.path`, whatever it is."""
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
"""The most accurate last. Those of one size that know English alone come before those that know all languages."""
WHISPER_ALIASES: Final = {"whisper-turbo": "whisper-large-v3-turbo", "whisper-large": "whisper-large-v3"}


def whisper_model(name: str) -> str:
    """The model that a name means; the name itself if it is no other name of one."""
    return WHISPER_ALIASES.get(name.casefold(), name)


def is_whisper(name: str) -> bool:
    """Whether `model.name` may say so."""
    return name == ANY_WHISPER or whisper_model(name) in WHISPER_MODELS


def accuracy_rank(name: str) -> int:
    """0 for the most accurate Whisper; a name that is not listed comes after all others."""
    known = WHISPER_MODELS.index(name) if name in WHISPER_MODELS else -1
    return len(WHISPER_MODELS) - 1 - known
