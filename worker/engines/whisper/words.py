"""Words as people read them, out of the pieces that the tokenizer makes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

SAMPLES_PER_POSITION = 320
"""One encoder position, the unit of word times."""


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as Whisper spells it, leading space included; times are in samples of the decoded audio."""

    text: str
    start_samples: int
    end_samples: int


def word_groups(pieces: Sequence[str]) -> list[range]:
    """Which successive pieces make one word: punctuation belongs to the word before it.

    An opening mark (with a space before it) belongs to the word behind it.
    """
    groups: list[range] = []
    opening: int | None = None
    for index, piece in enumerate(pieces):
        has_letters = any(character.isalnum() for character in piece)
        if not has_letters and groups and not piece.startswith(" ") and opening is None:
            groups[-1] = range(groups[-1].start, index + 1)
        elif not has_letters and index + 1 < len(pieces):
            opening = index if opening is None else opening
        else:
            groups.append(range(index if opening is None else opening, index + 1))
            opening = None
    return groups


def timed_words(
    pieces: Sequence[str], token_counts: Sequence[int], alignments: Sequence[tuple[int, int]], length_samples: int
) -> tuple[TimedWord, ...]:
    """Words with times, from pairs of a token's index and an encoder position on the best path through both.

    A word begins where the path reaches its first token and ends where it reaches the next word's.
    """
    reached: dict[int, int] = {}
    for token, position in alignments:
        reached.setdefault(token, position * SAMPLES_PER_POSITION)
    bounds = list(accumulate(token_counts, initial=0))
    words: list[TimedWord] = []
    earliest = 0
    for group in word_groups(pieces):
        start = min(max(reached.get(bounds[group.start], earliest), earliest), length_samples)
        earliest = min(max(reached.get(bounds[group.stop], length_samples), start), length_samples)
        words.append(TimedWord("".join(pieces[group.start : group.stop]), start, earliest))
    return tuple(words)


def spread_words(pieces: Sequence[str], length_samples: int) -> tuple[TimedWord, ...]:
    """Words with times in proportion to their letters, where the model cannot say when each is spoken."""
    texts = ["".join(pieces[group.start : group.stop]) for group in word_groups(pieces)]
    bounds = [0, *accumulate(len(text) for text in texts)]
    at_samples = [length_samples * bound // max(1, bounds[-1]) for bound in bounds]
    return tuple(map(TimedWord, texts, at_samples, at_samples[1:]))
