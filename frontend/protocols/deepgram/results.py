"""Texts, words, times and identities in Deepgram's format. No I/O.

Deepgram requires a confidence of every text and word; it is 0 if the model reports none. Speakers are numbers, in the
order in which they first speak.
"""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from frontend.transcripts.turns import SpokenWord
from shared.version import VERSION

PUNCTUATION: Final = ".,;:!?…\"'“”„«»()[]¿¡。，、！？"


class SpeakerNumbers:
    """The number of each label, from 0 on."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, label: str | None) -> dict[str, int]:
        """The field of a word; no field if its speaker is not known."""
        return {} if label is None else {"speaker": self._numbers.setdefault(label, len(self._numbers))}


def alternative(
    text: str, words: Iterable[SpokenWord], confidence: float | None, speakers: SpeakerNumbers
) -> dict[str, Any]:
    listed = [word_fields(word, speakers) for word in words]
    return {"transcript": text, "confidence": confidence or 0.0, "words": listed}


def word_fields(word: SpokenWord, speakers: SpeakerNumbers) -> dict[str, Any]:
    spelled = word.text.strip()
    return {
        "word": spelled.strip(PUNCTUATION).lower() or spelled,
        "start": word.start_s,
        "end": word.end_s,
        "confidence": word.confidence or 0.0,
        "punctuated_word": spelled,
        **speakers.of(word.speaker),
    }


def timestamp() -> str:
    """The current time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def model_id(name: str) -> str:
    """The same UUID for the same model."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def model_info(name: str) -> dict[str, str]:
    return {"name": name, "version": VERSION, "arch": name}
