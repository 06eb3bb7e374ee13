"""Whether a model's files belong together, and to the model whose name was set.

Only what differs between published models is compared: a model with the files of another one would run, and write other
words or other languages than its name says.
"""

from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from shared.errors import StartupError
from shared.whisper_models import ANY_WHISPER, WHISPER_MODELS
from worker.engines.whisper.weights import vocabulary_of

MORE_MELS: Final = {
    "whisper-large-v3",
    "whisper-large-v3-turbo",
    "whisper-distil-large-v3",
    "whisper-distil-large-v3.5",
}
"""Models with 128 mel filters; all others have 80."""
ENGLISH_SUFFIX: Final = ".en"
MARKS: Final = ("<|endoftext|>", "<|notimestamps|>")
"""Tokens before and after those that differ: the words, and the languages."""


def check_tokenizer(directory: Path, tokenizer: Tokenizer) -> None:
    """Raises a `StartupError` if the tokenizer is that of another model."""
    numbers = {token: number for number, token in enumerate(vocabulary_of(directory))}
    for mark in MARKS:
        here, there = tokenizer.token_to_id(mark), numbers.get(mark)
        if None not in (here, there) and here != there:
            raise StartupError(
                f"The tokenizer.json in {directory} is of another model: {mark} has the number {here} in it, but "
                f"{there} in the model; copy the tokenizer.json of the model."
            )


def check_name(name: str, directory: Path, *, n_mels: int, is_multilingual: bool) -> None:
    """Raises a `StartupError` if the files cannot be those of the model `name`; any files can be of other names."""
    if name not in WHISPER_MODELS:
        return
    is_english, wanted_mels = name.endswith(ENGLISH_SUFFIX), 128 if name in MORE_MELS else 80
    if n_mels != wanted_mels:
        _reject(name, directory, f"{wanted_mels} mel filters", str(n_mels))
    if is_english and is_multilingual:
        _reject(name, directory, "an English-only vocabulary", "a multilingual one")
    if not is_english and not is_multilingual:
        _reject(name, directory, "a multilingual vocabulary", "an English-only one")


def _reject(name: str, directory: Path, wanted: str, found: str) -> None:
    raise StartupError(
        f"Setting model.name is {name!r}, which has {wanted}, but the model in {directory} has {found}; set model.name "
        f"to {ANY_WHISPER}, or model.path to the files of {name}."
    )
