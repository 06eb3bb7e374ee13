"""A model's files from the Hugging Face Hub: its cache first, then a download. Knows no model library.

`HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` have the meaning that the Hub's client gives them.
"""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars

from shared.errors import StartupError

WANTED: Final = ("*.json", "*.safetensors")
WANTED_OF_WHISPER: Final = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""As faster-whisper downloads a model in CTranslate2's format."""
UNWANTED: Final = ("consolidated*",)
"""The same weights once more, in Mistral's own layout."""
FULL_DISK: Final = "no space left"
"""How every layer below words it; not all of them keep the error's number."""

log = structlog.get_logger()


def cached_snapshot(repository: str, wanted: Sequence[str] = WANTED) -> Path | None:
    """The newest snapshot in the local cache; None when there is none. Asks nobody."""
    try:
        return _snapshot(repository, wanted, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def downloaded_snapshot(repository: str, wanted: Sequence[str] = WANTED, *, named: str | None = None) -> Path:
    """The repository's current snapshot; only what the cache lacks is downloaded.

    Raises `StartupError` for whatever stands in the way: one sentence that begins with `named`, which says what setting
    chose the repository; by default that it is `model.name`.
    """
    named = named or f"Setting model.name is {repository!r}"
    disable_progress_bars()
    if constants.HF_HUB_OFFLINE:
        raise StartupError(
            f"{named}, which is not whole in the cache {constants.HF_HUB_CACHE}, and "
            "HF_HUB_OFFLINE forbids a download; unset it, or set model.path to a local copy."
        )
    log.info("model_download", model=repository, cache=constants.HF_HUB_CACHE)
    try:
        return _snapshot(repository, wanted, local_files_only=False)
    except Exception as error:
        raise StartupError(_sentence(named, repository, error)) from error


def _snapshot(repository: str, wanted: Sequence[str], *, local_files_only: bool) -> Path:
    found = snapshot_download(
        repository,
        allow_patterns=list(wanted),
        ignore_patterns=list(UNWANTED),
        local_files_only=local_files_only,
    )
    return Path(found)


def _sentence(named: str, repository: str, error: Exception) -> str:
    if isinstance(error, HFValidationError):
        return f"{named}, which is no name of a repository; allowed: owner/name, as on {constants.ENDPOINT}."
    if isinstance(error, GatedRepoError):
        return (
            f"{named}, whose files are given out only on consent; accept the terms at {constants.ENDPOINT}/{repository}"
            " and set HF_TOKEN, or set model.path to a local copy."
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{named}, which {constants.ENDPOINT} does not have or shows only to its members; correct the name, "
            "set HF_TOKEN, or set model.path to a local copy."
        )
    if _disk_is_full(error):
        return (
            f"{named}, but the disk of the Hub's cache {constants.HF_HUB_CACHE} is full; free some space, set HF_HOME "
            "to another disk, or set model.path to a local copy."
        )
    reason = " ".join(str(error.__cause__ or error).split())[:200].rstrip(".") or type(error).__name__
    return (
        f"{named}, but its files could not be downloaded from {constants.ENDPOINT} ({reason}); check the connection, "
        "or set model.path to a local copy."
    )


def _disk_is_full(error: BaseException | None) -> bool:
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or FULL_DISK in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False
