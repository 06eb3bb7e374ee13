"""Confidence from the probabilities of tokens: of each word, and of a whole text. Pure."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, fsum
from typing import Final

from shared.events import Scores
from shared.words import has_letters

STEPS: Final = 10_000
"""Log-probabilities are whole numbers of steps on a device, so that they are read together with the tokens."""
_WORD: Final = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class ScoredPiece:
    """A token of a text."""

    text: str
    """What it adds to the text; empty if it begins a character that a later one completes."""
    log_probability: float


def word_confidences(pieces: Sequence[ScoredPiece]) -> list[float]:
    """The confidence of each word of the joined text, split at white space: the product of its tokens' probabilities.

    Tokens that are only punctuation count for words without letters and digits.
    """
    parts = list(_parts(pieces))
    found: list[float] = []
    for word in _WORD.finditer("".join(piece.text for piece in pieces)):
        first = bisect_right(parts, word.start(), key=lambda part: part.end)
        within = parts[first : bisect_left(parts, word.end(), lo=first, key=lambda part: part.start)]
        spoken = [part for part in within if part.has_letters] or within
        found.append(exp(fsum(part.log_probability for part in spoken)))
    return found


def scores_of(pieces: Sequence[ScoredPiece], confidences: Sequence[float]) -> Scores | None:
    """The scores of a text of these tokens whose words have these confidences; None if there are no tokens."""
    if not pieces or not confidences:
        return None
    return Scores(
        confidence=fsum(confidences) / len(confidences),
        avg_logprob=fsum(piece.log_probability for piece in pieces) / len(pieces),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """The characters that one or several tokens have added together."""

    start: int
    end: int
    log_probability: float
    has_letters: bool


def _parts(pieces: Sequence[ScoredPiece]) -> Iterator[_Part]:
    at, waiting = 0, 0.0
    for piece in pieces:
        waiting += piece.log_probability
        if piece.text:
            yield _Part(at, at + len(piece.text), waiting, has_letters(piece.text))
            at, waiting = at + len(piece.text), 0.0
