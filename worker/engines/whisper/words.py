"""Groups the tokenizer's pieces into words as people read them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod

from shared.events import Usage
from shared.words import VOWEL_SIGNS, has_letters, normalised

SAMPLES_PER_POSITION = 320
"""One encoder position, the unit of word times."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Characters that the tokenizer keeps together: a run of letters up to the next space, or one punctuation mark."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word as Whisper spells it. Times are in samples of the decoded window."""

    text: str
    """With the space before it, and without the punctuation after it."""
    mark: str
    """The punctuation after it."""
    tokens: tuple[int, ...]
    mark_tokens: tuple[int, ...]
    start_samples: int
    end_samples: int
    probability: float
    """Probability of its least likely token, without punctuation."""
    confidence: float | None = None
    """The product of its tokens' probabilities, without punctuation; None if the model was not asked."""

    def earlier(self, samples: int) -> "HeardWord":
        """The word moved earlier by this much, though not before the window."""
        if not samples:
            return self
        return replace(
            self, start_samples=max(0, self.start_samples - samples), end_samples=max(0, self.end_samples - samples)
        )


def normalised_texts(words: Sequence[HeardWord]) -> list[str]:
    """What is compared of words: their texts without case and punctuation."""
    return [normalised(word.text) for word in words]


@dataclass(frozen=True, slots=True)
class Spelling:
    """The pieces of one answer, grouped into words."""

    lead: tuple[Piece, ...]
    """Punctuation before the first word: it belongs to the word that was forced before the answer."""
    words: tuple[tuple[Piece, ...], ...]
    """Each with its opening marks, its letters and its closing marks."""


def spelling(pieces: Sequence[Piece]) -> Spelling:
    """Group pieces into words: punctuation belongs to the word before it.

    An opening mark (with a space before it) belongs to the word after it.
    """
    lead = 0
    while lead < len(pieces) and not has_letters(pieces[lead].text) and not pieces[lead].text.startswith(" "):
        lead += 1
    rest = pieces[lead:]
    groups = word_groups([piece.text for piece in rest])
    return Spelling(tuple(pieces[:lead]), tuple(tuple(rest[group.start : group.stop]) for group in groups))


def word_groups(pieces: Sequence[str]) -> list[range]:
    """Which successive pieces make one word. Marks and vowel signs belong to the piece before them."""
    groups: list[range] = []
    opening: int | None = None
    for index, piece in enumerate(pieces):
        is_mark = not has_letters(piece)
        belongs_to_last = piece[:1] in VOWEL_SIGNS or (is_mark and not piece.startswith(" "))
        if belongs_to_last and groups and opening is None:
            groups[-1] = range(groups[-1].start, index + 1)
        elif is_mark and index + 1 < len(pieces):
            opening = index if opening is None else opening
        else:
            groups.append(range(index if opening is None else opening, index + 1))
            opening = None
    return groups


def timed_words(
    spelled: Spelling,
    alignments: Sequence[tuple[int, int]],
    probabilities: Sequence[float],
    *,
    first_token: int,
    length_samples: int,
) -> tuple[HeardWord, ...]:
    """Words with times, from pairs of a token's index and an encoder position on the best path through both.

    A word begins where the path reaches its first token and ends where it reaches the next word's.
    `first_token`: index of the answer's first token among those that were aligned.
    """
    reached: dict[int, int] = {}
    for token, position in alignments:
        reached.setdefault(token, position * SAMPLES_PER_POSITION)
    lead_tokens = sum(len(piece.tokens) for piece in spelled.lead)
    counts = [sum(len(piece.tokens) for piece in word) for word in spelled.words]
    bounds = list(accumulate(counts, initial=first_token + lead_tokens))
    words: list[HeardWord] = []
    earliest = min(reached.get(bounds[0], 0), length_samples)
    for index, word in enumerate(spelled.words):
        start = earliest
        earliest = min(max(reached.get(bounds[index + 1], length_samples), start), length_samples)
        first = bounds[index]
        last = first + sum(len(piece.tokens) for piece in parted(word)[0])
        own = probabilities[first:last]
        words.append(_heard_word(word, start, earliest, min(own, default=0.0), prod(own) if own else None))
    return tuple(words)


def _heard_word(
    word: Sequence[Piece], start_samples: int, end_samples: int, probability: float, confidence: float | None
) -> HeardWord:
    letters, marks = parted(word)
    return HeardWord(
        "".join(piece.text for piece in letters),
        "".join(piece.text for piece in marks),
        tuple(token for piece in letters for token in piece.tokens),
        tuple(token for piece in marks for token in piece.tokens),
        start_samples,
        end_samples,
        probability,
        confidence,
    )


def parted(word: Sequence[Piece]) -> tuple[Sequence[Piece], Sequence[Piece]]:
    """The word without the marks at its end, and these."""
    count = len(word)
    while count > 1 and not has_letters(word[count - 1].text):
        count -= 1
    return word[:count], word[count:]


def usage_of(words: Sequence[HeardWord], length_samples: int) -> Usage:
    """The tokens of a text, and the positions of the encoder for its audio."""
    said = sum(len(word.tokens) + len(word.mark_tokens) for word in words)
    return Usage(-(-length_samples // SAMPLES_PER_POSITION), said, truncated=False)


def mean_confidence(words: Sequence[HeardWord]) -> float | None:
    """The mean of the words that have one; None if none has."""
    known = [word.confidence for word in words if word.confidence is not None]
    return sum(known) / len(known) if known else None
