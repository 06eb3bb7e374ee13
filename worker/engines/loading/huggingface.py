"""A model's files from the Hugging Face Hub: its cache first, then a download. Knows no model library.

`HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` have the meaning that the Hub's client gives them. If none of
the variables that place the cache is set, it lies on `/workspace` where that exists, as on RunPod: the disk of a
container there is small, and is lost with it.
"""

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    DryRunError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars

from shared.errors import StartupError
from worker.progress import STARTING, Phase

WANTED: Final = ("*.json", "*.safetensors")
WANTED_OF_WHISPER: Final = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""As faster-whisper downloads a model in CTranslate2's format."""
UNWANTED: Final = ("consolidated*",)
"""The same weights once more, in Mistral's own layout."""
PLACING: Final = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")
"""Variables that place the cache."""
WORKSPACE: Final = Path("/workspace")
DISK_SHARE: Final = 1.02
"""Of the files' size, to be free before a download."""
FULL_DISK: Final = "no space left"
"""How every layer below words it; not all of them keep the error's number."""

log = structlog.get_logger()


class NotDownloadedError(StartupError):
    """The cache lacks the model, and this process only looks at what is there."""


class _Downloads:
    forbidden = False


downloads = _Downloads()
"""`downloads.forbidden = True` in a process that only checks."""


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
    if downloads.forbidden:
        raise NotDownloadedError(f"{repository} is not downloaded yet; `make run` does it, into {cache_folder()}.")
    if constants.HF_HUB_OFFLINE:
        raise StartupError(
            f"{named}, which is not whole in the cache {cache_folder()}, and "
            "HF_HUB_OFFLINE forbids a download; unset it, or set model.path to a local copy."
        )
    try:
        plan = _planned(repository, wanted)
        _check_disk(named, plan)
        log.info("model_download", model=repository, cache=str(cache_folder()), bytes=plan.bytes)
        blobs = cache_folder() / f"models--{repository.replace('/', '--')}" / "blobs"
        before_bytes = _bytes_on_disk(blobs) - plan.begun_bytes
        STARTING.begin(
            Phase.DOWNLOAD, repository, total=plan.bytes, measure=lambda: _bytes_on_disk(blobs) - before_bytes
        )
        directory = _snapshot(repository, wanted, local_files_only=False)
        STARTING.begin(Phase.LOAD, repository)
        return directory
    except StartupError:
        raise
    except DryRunError as error:
        raise StartupError(_sentence(named, repository, error.__cause__ or error)) from error
    except Exception as error:
        raise StartupError(_sentence(named, repository, error)) from error


def cache_folder() -> Path:
    """Where the Hub's client keeps models."""
    if any(os.environ.get(name) for name in PLACING) or not os.access(WORKSPACE, os.W_OK):
        return Path(constants.HF_HUB_CACHE)
    return WORKSPACE / ".cache/huggingface/hub"


@dataclass(frozen=True, slots=True)
class _Plan:
    bytes: int
    """Of the files that the cache lacks."""
    begun_bytes: int = 0
    """What the cache has of them, from a download that was interrupted."""


def _planned(repository: str, wanted: Sequence[str]) -> _Plan:
    files = snapshot_download(
        repository,
        cache_dir=cache_folder(),
        allow_patterns=list(wanted),
        ignore_patterns=list(UNWANTED),
        dry_run=True,
    )
    blobs = cache_folder() / f"models--{repository.replace('/', '--')}" / "blobs"
    begun_bytes = sum(_size(path) for path in blobs.glob("*.incomplete"))
    return _Plan(sum(file.file_size or 0 for file in files if file.will_download), begun_bytes)


def _check_disk(named: str, plan: _Plan) -> None:
    """Raises `StartupError` when the files do not fit."""
    place = cache_folder()
    while not place.exists():
        place = place.parent
    needed_bytes = round((plan.bytes - plan.begun_bytes) * DISK_SHARE)
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < needed_bytes:
        raise StartupError(
            f"{named}, of which {needed_bytes / 1e9:.2f} GB are to be downloaded, but the disk of the Hub's cache "
            f"{cache_folder()} has {free_bytes / 1e9:.2f} GB free; free some space, set HF_HOME to another disk, or "
            "set model.path to a local copy."
        )


def _bytes_on_disk(folder: Path) -> int:
    return sum(_size(path) for path in folder.glob("*"))


def _size(path: Path) -> int:
    """What a file takes on the disk: some downloads begin with a file of the whole length, and fill it."""
    try:
        found = path.stat()
    except OSError:  # renamed just now
        return 0
    return min(found.st_size, found.st_blocks * 512)


def _snapshot(repository: str, wanted: Sequence[str], *, local_files_only: bool) -> Path:
    found = snapshot_download(
        repository,
        cache_dir=cache_folder(),
        allow_patterns=list(wanted),
        ignore_patterns=list(UNWANTED),
        local_files_only=local_files_only,
    )
    return Path(found)


def _sentence(named: str, repository: str, error: BaseException) -> str:
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
            f"{named}, but the disk of the Hub's cache {cache_folder()} is full; free some space, set HF_HOME "
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
