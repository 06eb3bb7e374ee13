"""The transcript that a command has received, and its output as text, JSON, SRT or WebVTT, to a file or stdout."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frontend.client import Final
from frontend.transcripts.subtitles import srt, vtt
from shared.seams import joined

SUFFIXES = {"text": ".txt", "json": ".json", "srt": ".srt", "vtt": ".vtt"}
"""The formats, each with the suffix of its files."""


class OutputError(Exception):
    """The requested inputs and output cannot be combined. The message is one sentence."""


@dataclass(slots=True)
class Transcript:
    """The answer for one recording, as far as it has been received."""

    name: str
    mode: str = "transcribe"
    finals: list[Final] = field(default_factory=list)
    answer: str = ""
    """Text about the whole recording rather than one segment."""
    duration_s: float = 0.0
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """What is wrong with the recording: `code`, `message` and, for a position, `start` in seconds."""

    def written(self, text_format: str) -> str:
        """The whole document in one of `SUFFIXES`, ending with a line break."""
        match text_format:
            case "json":
                return json.dumps(self._document(), ensure_ascii=False) + "\n"
            case "srt":
                return srt(self.finals)
            case "vtt":
                return vtt(self.finals)
            case _:
                return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> list[str]:
        return [self.answer] if self.answer else [final.text for final in self.finals if final.text]

    def _document(self) -> dict[str, Any]:
        languages = Counter(final.language for final in self.finals if final.language)
        return {
            "file": self.name,
            "mode": self.mode,
            "text": joined(self._lines()),
            "language": languages.most_common(1)[0][0] if languages else None,
            "duration": self.duration_s,
            "segments": [_segment(final) for final in self.finals],
            **({"warnings": self.warnings} if self.warnings else {}),
        }


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
    if len(sources) == 1 and not folder.is_dir() and not output.endswith("/"):
        if not folder.parent.is_dir():
            raise OutputError(f"The folder {folder.parent} of --output {output} does not exist; create it first.")
        return [folder]
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"--output {output} is a file, and {len(sources)} documents need a folder.")
    names = ["stdin" if source == "-" else Path(source).name for source in sources]
    shared_stems = [stem for stem, uses in Counter(Path(name).stem for name in names).items() if uses > 1]
    paths = [
        folder / ((name if Path(name).stem in shared_stems else Path(name).stem) + SUFFIXES[text_format])
        for name in names
    ]
    twice = [path for path, uses in Counter(paths).items() if uses > 1]
    if twice:
        raise OutputError(f"Two of the files would both be written to {twice[0]}.")
    return list(paths)


def write_whole(path: Path, document: str) -> None:
    """Write the document so that the file never exists half written. Creates the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(document, encoding="utf-8")
    unfinished.replace(path)


def _segment(final: Final) -> dict[str, Any]:
    return {
        "text": final.text,
        "start": final.start_s,
        "end": final.end_s,
        "words": [word.to_wire() for word in final.words],
    }
