"""The files that a command writes: formats, paths, and what is not overwritten. Knows no transcript."""

import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from frontend.cli.failures import OutputError

SUFFIXES: Final = {"text": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt"}
"""The formats, each with the suffix of its files."""
ALL: Final = "all"
"""Every format, each in a file of its own."""
STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class Output:
    """One document."""

    text_format: str
    """A key of `SUFFIXES`."""
    path: Path | None = None
    """None is standard output."""


def outputs(
    sources: Sequence[str], output: str | None, text_format: str | None, *, overwrites: bool
) -> list[list[Output]]:
    """The documents of each source. Without a format, the suffix of `output` decides, and text is the default.

    Raises `OutputError`, also for a file that exists unless `overwrites`.
    """
    if text_format == ALL:
        planned = _all_formats(sources, output)
    else:
        chosen = text_format or _format_of(sources, output)
        planned = [[Output(chosen, path)] for path in output_paths(sources, output, chosen)]
    if not overwrites:
        _check_new(one.path for documents in planned for one in documents)
    return planned


def output_paths(sources: Sequence[str], output: str | None, text_format: str) -> list[Path | None]:
    """The output path of each source; None is standard output.

    `output` is a folder if it exists as one, ends with `/`, or receives several documents; it need not exist yet.
    Raises `OutputError`.
    """
    if output is None:
        if len(sources) > 1 and text_format in {"srt", "vtt"}:
            raise OutputError(f"Several files as {text_format} cannot be joined into one: give a folder with --output.")
        return [None] * len(sources)
    folder = Path(output)
    if _is_one_file(sources, output):
        if not folder.parent.is_dir():
            raise OutputError(f"The folder {folder.parent} of --output {output} does not exist; create it first.")
        return [folder]
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"--output {output} is a file, and {len(sources)} documents need a folder.")
    names = [name_of(source) for source in sources]
    shared_stems = [stem for stem, uses in Counter(Path(name).stem for name in names).items() if uses > 1]
    paths = [
        folder / ((name if Path(name).stem in shared_stems else Path(name).stem) + SUFFIXES[text_format])
        for name in names
    ]
    twice = [path for path, uses in Counter(paths).items() if uses > 1]
    if twice:
        raise OutputError(f"Two of the files would both be written to {twice[0]}.")
    return list(paths)


def is_url(source: str) -> bool:
    return "://" in source


def name_of(source: str) -> str:
    """The name of the file that a source is, or would be."""
    if source == STDIN:
        return "stdin"
    if is_url(source):
        parts = urlsplit(source)
        return Path(unquote(parts.path)).name or parts.hostname or "stream"
    return Path(source).name


def write_whole(path: Path, document: str) -> None:
    """Write the document so that the file never exists half written. Creates the folder. An existing file keeps its
    mode, and a symbolic link its target."""
    if path.exists() and not path.is_file():  # a device or a pipe
        path.write_text(document, encoding="utf-8")
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{secrets.token_hex(8)}.part")  # the name itself may have no room for a suffix
    try:
        with unfinished.open("x", encoding="utf-8") as file:
            if path.exists():
                shutil.copymode(path, unfinished)
            file.write(document)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _is_one_file(sources: Sequence[str], output: str) -> bool:
    return len(sources) == 1 and not Path(output).is_dir() and not output.endswith("/")


def _all_formats(sources: Sequence[str], output: str | None) -> list[list[Output]]:
    if output is None:
        raise OutputError("--format all writes a file for each format: give a folder with --output, such as -o .")
    by_format = {}
    for text_format, suffix in SUFFIXES.items():
        given = output
        if _is_one_file(sources, output):
            path = Path(output)
            given = str(path.with_suffix(suffix) if path.suffix in SUFFIXES.values() else f"{output}{suffix}")
        by_format[text_format] = output_paths(sources, given, text_format)
    return [
        [Output(text_format, paths[number]) for text_format, paths in by_format.items()]
        for number in range(len(sources))
    ]


def _format_of(sources: Sequence[str], output: str | None) -> str:
    if output is None or not _is_one_file(sources, output):
        return "text"
    path = Path(output)
    if not path.suffix or (path.exists() and not path.is_file()):
        return "text"
    known = {suffix: text_format for text_format, suffix in SUFFIXES.items()}
    if path.suffix.lower() not in known:
        allowed = f"allowed: {', '.join(known)}, or any with --format"
        raise OutputError(f"--output {output} ends with {path.suffix}, which is no format; {allowed}.")
    return known[path.suffix.lower()]


def _check_new(paths: Iterator[Path | None]) -> None:
    for path in paths:
        if path is not None and path.is_file():
            raise OutputError(f"{path} exists; --force overwrites it.")
