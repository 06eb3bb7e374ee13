"""The transcript of a live or ended session as a document: JSON, text, SRT or WebVTT."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import orjson

from frontend.transcripts.channels import by_time, channel_of, is_dialogue, plain_text, said
from frontend.transcripts.subtitles import srt, vtt
from shared.dialogue import dialogue
from shared.events import EventType
from shared.seams import joined
from voxtral_client.events import Final, Speakers
from voxtral_client.parts import speaker_fields


class Form(StrEnum):
    """The formats, named like the suffixes of their files."""

    JSON = "json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"


MEDIA_TYPES = {
    Form.JSON: "application/json",
    Form.TXT: "text/plain; charset=utf-8",
    Form.SRT: "application/x-subrip; charset=utf-8",
    Form.VTT: "text/vtt; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class SessionTranscript:
    session_id: str
    finals: list[Final]
    is_complete: bool
    """Whether the session has ended without an error, so that no more text follows."""

    @classmethod
    def of(cls, session_id: str, events: Iterable[dict[str, Any]], *, is_complete: bool) -> Self:
        """`events` are the finals and what later events say about their speakers, in order."""
        finals: list[Final] = []
        for wire in events:
            if wire["type"] == EventType.SPEAKERS:
                Speakers.from_wire(wire).label(finals)
            else:
                finals.append(Final.from_wire(wire))
        return cls(session_id, finals, is_complete)

    def written(self, form: Form) -> bytes:
        """The document. Needs milliseconds for each minute of a long session."""
        match form:
            case Form.JSON:
                return orjson.dumps(self._document())
            case Form.TXT:
                return plain_text(self.finals).encode()
            case Form.SRT:
                return srt(self.finals).encode()
            case Form.VTT:
                return vtt(self.finals).encode()

    def _document(self) -> dict[str, Any]:
        return {
            "session_id": self.session_id,
            "complete": self.is_complete,
            "text": dialogue(said(self.finals))
            if is_dialogue(self.finals)
            else joined(one.text for one in self.finals),
            "segments": [
                {
                    "segment": final.segment,
                    "start": final.start_s,
                    "end": final.end_s,
                    "text": final.text,
                    "language": final.language,
                    "words": [word.to_wire() for word in final.words],
                    **speaker_fields(final),
                    **final.scores.to_wire(),
                    **channel_of(final),
                }
                for final in by_time(self.finals)
            ],
        }
