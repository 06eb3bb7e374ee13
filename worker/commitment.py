"""What has been committed of an open segment, and how later text of it is made to begin with that. Pure.

An engine takes nothing back of what it has committed. A new owner of a session may hear the same audio otherwise: what
the former owner has committed stays, and the rest is fitted to it.
"""

from dataclasses import dataclass, replace
from typing import Self

import orjson

from shared.continuation import continuation
from shared.events import Word
from worker.engines.base import Final, Partial


@dataclass(frozen=True, slots=True)
class Commitment:
    segment: int
    text: str = ""
    words: tuple[Word, ...] = ()
    start_samples: int = 0
    """Where the segment begins."""
    end_samples: int = 0
    """The text rests on audio before this position."""

    def encoded(self) -> bytes:
        """As Redis keeps it for a new owner; empty where nothing is committed."""
        if not self.text:
            return b""
        words = [(word.text, word.start_samples, word.end_samples, word.confidence) for word in self.words]
        return orjson.dumps([self.segment, self.text, words, self.start_samples, self.end_samples])

    @classmethod
    def decoded(cls, encoded: bytes | None, segment: int) -> Self:
        """What `encoded` has made, if it is of this segment; else an empty one."""
        if encoded:
            known, text, words, start_samples, end_samples, *_ = orjson.loads(encoded)  # a newer worker may add to it
            if known == segment:
                return cls(segment, text, tuple(Word(*word[:4]) for word in words), start_samples, end_samples)
        return cls(segment)


def with_partial(kept: Commitment, partial: Partial) -> tuple[Partial, Commitment]:
    """The partial as it is to be published, and what is committed then. What is `kept` of its segment stays."""
    text, words = _fitted(kept, partial, partial.committed_text, partial.committed_words)
    shown, _ = _fitted(kept, partial, partial.text, ())
    if len(text) > len(kept.text) and shown.startswith(text):
        start_samples = kept.start_samples if kept.text else partial.start_samples
        kept = Commitment(kept.segment, text, words, start_samples, partial.heard_samples)
    return replace(partial, text=shown, committed_text=kept.text, committed_words=kept.words), kept


def with_final(kept: Commitment, final: Final) -> Final:
    """The final as it is to be published: its text begins with what was committed of its segment."""
    if final.text.startswith(kept.text):
        return final
    text, words = _fitted(kept, final, final.text, final.words)
    return replace(final, text=text, words=words, start_samples=min(kept.start_samples, final.start_samples))


def unfinished(kept: Commitment) -> Final:
    """The final of a segment whose new owner has found no speech in it, though some was committed."""
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


def _fitted(
    kept: Commitment, output: Partial | Final, text: str, words: tuple[Word, ...]
) -> tuple[str, tuple[Word, ...]]:
    """A text and its words, made to begin with what is kept."""
    if text.startswith(kept.text):
        return text, words
    if text and output.start_samples >= kept.end_samples:  # other speech, behind all that the kept text rests on
        return f"{kept.text} {text}", kept.words + words
    if kept.text.startswith(text):
        return kept.text, kept.words
    rest = continuation(kept.text, text)
    begin = len(text) - len(rest.lstrip())
    ends = _ends(text, words)
    knows_last_word = _ends(kept.text, kept.words)[-1:] == [len(kept.text)]
    if knows_last_word:  # what the rest adds to it, such as a full stop, is no word
        new = [word for word, end in zip(words, ends, strict=True) if end - len(word.text) >= begin]
    else:
        new = [word for word, end in zip(words, ends, strict=True) if end > begin]
    return kept.text + rest, (*kept.words, *new)


def _ends(text: str, words: tuple[Word, ...]) -> list[int]:
    """Where each word ends in the text that they make."""
    ends: list[int] = []
    for word in words:
        at = ends[-1] if ends else 0
        found = text.find(word.text, at)
        ends.append(at if found < 0 else found + len(word.text))
    return ends
