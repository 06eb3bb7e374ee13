"""The committed text of an open segment; later text of the segment is made to begin with it. Pure.

An engine never retracts committed text. A new owner of a session may transcribe the same audio differently: the text
that the former owner has committed stays, with the times of its words, and the rest is aligned with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import orjson

from shared.continuation import continuation
from shared.events import Word
from shared.word_places import places_of
from worker.engines.base import Final, Partial


class StoredText(Protocol):
    """What Redis stores of the text of open segments, for a new owner."""

    def encoded(self) -> bytes:
        """Empty if there is nothing to store."""


@dataclass(frozen=True, slots=True)
class Commitment:
    segment: int
    text: str = ""
    words: tuple[Word, ...] = ()
    start_samples: int = 0
    """Position at which the segment begins."""
    end_samples: int = 0
    """The text is based on audio before this position."""

    def encoded(self) -> bytes:
        """The form that Redis stores for a new owner; empty if nothing is committed."""
        if not self.text:
            return b""
        words = [(word.text, word.start_samples, word.end_samples, word.confidence) for word in self.words]
        return orjson.dumps([self.segment, self.text, words, self.start_samples, self.end_samples])

    @classmethod
    def decoded(cls, encoded: bytes | None, segment: int) -> Self:
        """Read the result of `encoded` if it is of this segment; otherwise an empty one."""
        if encoded:
            known, text, words, start_samples, end_samples, *_ = orjson.loads(encoded)  # a newer worker may add fields
            if known == segment:
                return cls(segment, text, tuple(Word(*word[:4]) for word in words), start_samples, end_samples)
        return cls(segment)


def with_partial(kept: Commitment, partial: Partial) -> tuple[Partial, Commitment]:
    """The partial to publish, and what is committed with it. The text that is `kept` for its segment stays."""
    text, words = _fitted(kept, partial, partial.committed_text, partial.committed_words)
    shown, _ = _fitted(kept, partial, partial.text, ())
    start_samples = _start(kept, partial)
    if len(text) > len(kept.text) and shown.startswith(text):
        kept = Commitment(kept.segment, text, words, start_samples, partial.heard_samples)
    return replace(
        partial, text=shown, committed_text=kept.text, committed_words=kept.words, start_samples=start_samples
    ), kept


def with_final(kept: Commitment, final: Final) -> Final:
    """The final to publish: its text begins with the committed text of its segment."""
    text, words = _fitted(kept, final, final.text, final.words)
    return replace(final.rewritten(text, words), start_samples=_start(kept, final))


def unfinished(kept: Commitment) -> Final:
    """The final of a segment in which the new owner has found no speech, although text was committed."""
    return Final(
        segment=kept.segment,
        text=kept.text,
        start_samples=kept.start_samples,
        end_samples=kept.end_samples,
        heard_samples=kept.end_samples,
        resume_samples=kept.end_samples,
        words=kept.words,
        language=None,
        model_ms=0.0,
    )


def _start(kept: Commitment, output: Partial | Final) -> int:
    return kept.start_samples if kept.text else output.start_samples


def _fitted(
    kept: Commitment, output: Partial | Final, text: str, words: tuple[Word, ...]
) -> tuple[str, tuple[Word, ...]]:
    """A text and its words, changed to begin with the kept text."""
    if text.startswith(kept.text):
        return text, _with_kept_times(kept, words)
    if text and output.start_samples >= kept.end_samples:  # other speech, after the audio of the kept text
        return f"{kept.text} {text}", _followed(kept.words, words)
    if kept.text.startswith(text):
        return kept.text, kept.words
    rest = continuation(kept.text, text)
    begin = len(text) - len(rest.lstrip())
    told = max(_ends(kept.text, kept.words), default=0)
    old, new = list(kept.words), []
    for word, end in zip(words, _ends(text, words), strict=True):
        if end - len(word.text) >= begin:
            new.append(word)
        elif end > begin and told < len(kept.text):  # it completes the last word of the kept text, which has no times
            completed = kept.text[told:] + text[begin:end]
            new.append(word if completed.endswith(word.text) else replace(word, text=completed.split()[-1]))
        elif end > begin and old:  # it adds a mark or letters to the last word
            old[-1] = replace(old[-1], text=old[-1].text + text[begin:end])
    return kept.text + rest, _followed(old, new)


def _with_kept_times(kept: Commitment, words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The words of a text that begins with the kept one. A new owner may hear them at slightly other times."""
    pairs = list(zip(kept.words, words, strict=False))
    if not kept.words or len(pairs) < len(kept.words) or any(not new.text.startswith(old.text) for old, new in pairs):
        return words
    timed = [
        replace(new, start_samples=old.start_samples, end_samples=old.end_samples, confidence=old.confidence)
        for old, new in pairs
    ]
    return _followed(timed, words[len(pairs) :])


def _followed(first: Sequence[Word], later: Iterable[Word]) -> tuple[Word, ...]:
    """Words and later ones of another owner, which may overlap in time: each begins after the one before it."""
    timed = list(first)
    for word in later:
        start = max(word.start_samples, timed[-1].end_samples) if timed else word.start_samples
        timed.append(replace(word, start_samples=start, end_samples=max(word.end_samples, start)))
    return tuple(timed)


def _ends(text: str, words: tuple[Word, ...]) -> list[int]:
    """Where each word ends in the text that they form."""
    return [place.stop for place in places_of(text, (word.text for word in words))]
