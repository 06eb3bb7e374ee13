"""The transcript that a command has received, as text, JSON, SRT or WebVTT."""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from frontend.transcripts.channels import by_time, channel_of, is_dialogue, plain_text, said
from frontend.transcripts.subtitles import srt, vtt
from shared.dialogue import dialogue
from shared.seams import joined
from voxtral_client import Final
from voxtral_client.parts import speaker_fields


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
        """The whole document in one of the formats (`frontend.cli.outputs`), ending with a line break."""
        match text_format:
            case "json":
                return json.dumps(self._document(), ensure_ascii=False) + "\n"
            case "srt":
                return srt(self.finals)
            case "vtt":
                return vtt(self.finals)
            case _:
                return f"{self.answer}\n" if self.answer else plain_text(self.finals)

    @property
    def _text(self) -> str:
        if self.answer:
            return self.answer
        if is_dialogue(self.finals):
            return dialogue(said(self.finals))
        return joined(final.text for final in self.finals)

    def _document(self) -> dict[str, Any]:
        languages = Counter(final.language for final in self.finals if final.language)
        return {
            "file": os.fsencode(self.name).decode(errors="replace"),  # a name need not be UTF-8
            "mode": self.mode,
            "text": self._text,
            "language": languages.most_common(1)[0][0] if languages else None,
            "duration": self.duration_s,
            "segments": [_segment(final) for final in by_time(self.finals)],
            **({"warnings": self.warnings} if self.warnings else {}),
        }


def _segment(final: Final) -> dict[str, Any]:
    return {
        "text": final.text,
        "start": final.start,
        "end": final.end,
        "words": [word.to_wire() for word in final.words],
        **channel_of(final),
        **speaker_fields(final),
    }
