"""One turn in Deepgram's Flux: what was said in it so far, as the fields of `TurnInfo`. Pure."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from frontend.protocols.deepgram.results import PUNCTUATION
from shared.seams import seam
from shared.word_places import places_of
from voxtral_client.events import Final as Segment
from voxtral_client.events import Partial
from voxtral_client.parts import Word

MAX_CHARS: Final = 20_000
"""Of the finals of a turn, about 20 minutes of speech. Each message repeats the whole turn, and clients reject messages
over 1 MiB."""


class FluxTurn:
    def __init__(self, index: int, start_s: float) -> None:
        self._index = index
        self._start_s = self._end_s = start_s
        self._finals: list[Segment] = []
        self._partial: Partial | None = None
        self.is_started = False
        """Whether the client knows that somebody speaks."""
        self.is_ending = False
        """Whether the client knows that the turn has probably ended."""
        self.confidence = 0.0
        """The probability that the speaker has finished, at this pause; 0 if no model was asked."""

    def hear(self, said: Partial | Segment) -> None:
        if isinstance(said, Segment):
            if self._partial is not None and self._partial.segment <= said.segment:
                self._partial = None  # a later one may be open already
            self._finals.append(said)
        else:
            self._partial = said
        self.reach(said.end)

    def reach(self, end_s: float) -> None:
        """Include audio up to this position."""
        self._end_s = max(self._end_s, end_s)

    def settle(self) -> None:
        """Drop the text of an open segment, which belongs to the next turn."""
        self._partial = None

    def next(self) -> "FluxTurn":
        return FluxTurn(self._index + 1, self._end_s)

    @property
    def is_full(self) -> bool:
        return sum(len(final.text) for final in self._finals) > MAX_CHARS

    @property
    def text(self) -> str:
        said = ""
        for part in self._parts():
            said += seam(said, part.text) + part.text
        return said

    @property
    def languages(self) -> list[str]:
        """Those of the text, the most frequent one first."""
        counted: Counter[str] = Counter()
        for part in self._parts():
            if part.language is not None:
                counted[part.language] += len(part.text.split())
        return [language for language, _ in counted.most_common()]

    def fields(self) -> dict[str, Any]:
        return {
            "turn_index": self._index,
            "audio_window_start": self._start_s,
            "audio_window_end": self._end_s,
            "transcript": self.text,
            "words": [word for part in self._parts() for word in _words(part)],
            "end_of_turn_confidence": self.confidence,
        }

    def _parts(self) -> Iterator[Segment | Partial]:
        yield from (final for final in self._finals if final.text)
        if self._partial is not None and self._partial.text:
            yield self._partial


def _words(part: Segment | Partial) -> Iterator[dict[str, Any]]:
    """All words of a text. Those whose times are not known have none; a confidence that is not known is 0."""
    timed = part.words if isinstance(part, Segment) else part.committed.words
    yield from (_word(word) for word in timed)
    if isinstance(part, Segment) and timed:
        return
    rest = _after(timed, part.text).split()
    known = part.word_confidences if isinstance(part, Segment) else None
    scores = known if known is not None and len(known) == len(rest) else (0.0,) * len(rest)
    for spelled, confidence in zip(rest, scores, strict=True):
        if spelled.strip(PUNCTUATION):
            yield {"word": spelled, "confidence": confidence}


def _word(word: Word) -> dict[str, Any]:
    return {
        "word": word.text.strip(),
        "confidence": word.confidence or 0.0,
        "start": word.start_s,
        "end": word.end_s,
    }


def _after(words: tuple[Word, ...], text: str) -> str:
    """The text after these words, with which it begins."""
    places = places_of(text, (word.text.strip() for word in words))
    return text[places[-1].stop if places else 0 :]
