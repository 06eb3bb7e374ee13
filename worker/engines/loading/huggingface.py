"""A model's files from the Hugging Face Hub: from its cache, or else downloaded. Knows no model library.

`HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` have the same meaning as for the Hub's client. If none of
the variables for the location of the cache is set, the cache is on `/workspace` if that exists, as on RunPod: the disk
of a container there is small, and is lost with it.
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
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from huggingface_hub.utils.tqdm import disable_progress_bars

from shared.errors import StartupError
from worker.progress import STARTING, Phase

WANTED: Final = ("*.json", "*.safetensors")
WANTED_OF_WHISPER: Final = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""The files that faster-whisper downloads of a model in CTranslate2's format."""
UNWANTED: Final = ("consolidated*",)
"""A second copy of the weights, in Mistral's own layout."""
PLACING: Final = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")
"""Variables for the location of the cache."""
WORKSPACE: Final = Path("/workspace")
DISK_SHARE: Final = 1.02
"""Disk space that must be free before a download, in multiples of the files' size."""
FULL_DISK: Final = "no space left"
"""The text in the errors of all lower layers; not all of them keep the error number."""

log = structlog.get_logger()


class NotDownloadedError(StartupError):
    """The cache lacks the model, and this process only checks and does not download."""


class _Downloads:
    forbidden = False


downloads = _Downloads()
"""`downloads.forbidden` is True in a process that only checks."""


def cached_snapshot(repository: str, wanted: Sequence[str] = WANTED) -> Path | None:
    """The newest snapshot in the local cache; None if there is none. Makes no request."""
    try:
        return _snapshot(repository, wanted, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def downloaded_snapshot(repository: str, wanted: Sequence[str] = WANTED, *, named: str | None = None) -> Path:
    """The repository's current snapshot; downloads only the files that the cache lacks.

    Raises `StartupError`, one sentence that begins with `named`, which names the setting that selected the
    repository; the default names `model.name`.
    """
    named = named or f"Setting model.name is {repository!r}"
    _check_name(named, repository)
    disable_progress_bars()
    if constants.HF_HUB_OFFLINE:
        raise StartupError(
            f"{named}, which is not complete in the cache {cache_folder()}, and "
            f"HF_HUB_OFFLINE forbids a download; unset it, or {_local_copy(repository)}."
        )
    if downloads.forbidden:
        raise NotDownloadedError(
            f"{named}: {repository} is not downloaded yet; `make run` downloads it into {cache_folder()}."
        )
    try:
        plan = _planned(repository, wanted)
        _check_disk(named, repository, plan)
        log.info("model_download_started", model=repository, cache=str(cache_folder()), bytes=plan.bytes)
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


def _check_name(named: str, repository: str) -> None:
    """Raises `StartupError` if no model can have this name, also where nothing is downloaded."""
    try:
        validate_repo_id(repository)
        is_name = "/" in repository
    except HFValidationError:
        is_name = False
    if not is_name:
        raise StartupError(
            f"{named}, which is not a repository's name; allowed: owner/name, as on {constants.ENDPOINT}."
        )


def cache_folder() -> Path:
    """Where the Hub's client stores models."""
    if any(os.environ.get(name) for name in PLACING) or not os.access(WORKSPACE, os.W_OK):
        return Path(constants.HF_HUB_CACHE)
    return WORKSPACE / ".cache/huggingface/hub"


@dataclass(frozen=True, slots=True)
class _Plan:
    bytes: int
    """Size of the files that the cache lacks."""
    begun_bytes: int = 0
    """The part of them that the cache has from an interrupted download."""


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


def _check_disk(named: str, repository: str, plan: _Plan) -> None:
    """Raises `StartupError` if the files do not fit on the disk."""
    place = cache_folder()
    while not place.exists():
        place = place.parent
    needed_bytes = round((plan.bytes - plan.begun_bytes) * DISK_SHARE)
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < needed_bytes:
        raise StartupError(
            f"{named}, which needs a download of {needed_bytes / 1e9:.2f} GB, but the disk of the Hub's cache "
            f"{cache_folder()} has {free_bytes / 1e9:.2f} GB free; free some space, set HF_HOME to another disk, or "
            f"{_local_copy(repository)}."
        )


def _bytes_on_disk(folder: Path) -> int:
    return sum(_size(path) for path in folder.glob("*"))


def _size(path: Path) -> int:
    """The disk space of a file: some downloads create a file of the full length first, and then fill it."""
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
    if isinstance(error, GatedRepoError):
        return (
            f"{named}, whose terms must be accepted before a download; accept them at {constants.ENDPOINT}/{repository}"
            f" and set HF_TOKEN, or {_local_copy(repository)}."
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{named}, which {constants.ENDPOINT} does not have or does not show without a token; correct the name, "
            "set HF_TOKEN, or set model.path to a local copy."
        )
    if _disk_is_full(error):
        return (
            f"{named}, but the disk of the Hub's cache {cache_folder()} is full; free some space, set HF_HOME "
            f"to another disk, or {_local_copy(repository)}."
        )
    reason = " ".join(str(error.__cause__ or error).split())[:200].rstrip(".") or type(error).__name__
    return (
        f"{named}, but its files could not be downloaded from {constants.ENDPOINT} ({reason}); check the connection, "
        f"or {_local_copy(repository)}."
    )


def _local_copy(repository: str) -> str:
    """What to do without the Hub, as the end of a sentence."""
    return (
        f"set model.path to a directory with a copy of {repository}, which `hf download {repository} --local-dir "
        "DIRECTORY` makes on a machine with a connection"
    )


def _disk_is_full(error: BaseException | None) -> bool:
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or FULL_DISK in str(error).lower():
            return True
        error = error.__cause__ or error.__context__
    return False
