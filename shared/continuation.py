"""Continues text that was already sent, so that the whole is as close as possible to another text. Pure.

Text that was sent cannot be retracted. If the other text begins with it, the rest is appended unchanged. If not, the
rest is aligned word by word, so that the whole differs from the other text in as few words as possible.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.seams import UNSPACED
from shared.words import common_prefix, normalised

MAX_FITTED_WORDS: Final = 200
"""Words of each side. Speech does not reach this in one segment; beyond it, words are counted and not compared."""

_WORD: Final = re.compile(f"[{UNSPACED}]|[^\\s{UNSPACED}]+")
"""A character of a script without spaces between words counts as a word."""


@dataclass(frozen=True, slots=True)
class TextWord:
    start: int
    end: int
    """Where its text ends."""
    key: str
    """What is compared."""


def continuation(said: str, text: str) -> str:
    """What to append to `said` so that it is closest to `text`; `said` plus it equals `text` if that is possible.

    Without its leading space, it is the end of `text`.
    """
    if text.startswith(said):
        return text[len(said) :]
    said_words, words = words_of(said), words_of(text)
    reached = _reached(said_words, words)
    if said_words and reached:
        last, shown = text[words[reached - 1].start :], said[said_words[-1].start :]
        if last.casefold().startswith(shown.casefold()):  # more of the last word, or the full stop after it
            return last[len(shown) :]
    if reached == len(words):
        return ""
    rest = text[words[reached].start :]
    spaced = reached == 0 or text[words[reached].start - 1].isspace()
    return f" {rest}" if spaced and not said[-1].isspace() else rest


def words_of(text: str) -> list[TextWord]:
    return [TextWord(found.start(), found.end(), normalised(found.group())) for found in _WORD.finditer(text)]


def common_words(left: Sequence[TextWord], right: Sequence[TextWord]) -> int:
    """How many leading words are equal apart from case and punctuation."""
    return common_prefix([word.key for word in left], [word.key for word in right])


def _reached(said: Sequence[TextWord], words: Sequence[TextWord]) -> int:
    """How many of the words `said` covers: the beginning of `words` that is the fewest edits away from it.

    If several are equally close, the longest one: a repeated word is worse than a missing one.
    """
    same = common_words(said, words)
    said, words = said[same:], words[same:]
    if not said:
        return same
    if max(len(said), len(words)) > MAX_FITTED_WORDS:
        return same + min(len(said), len(words))
    edits = list(range(len(words) + 1))
    for count, mine in enumerate(said, start=1):
        diagonal, edits[0] = edits[0], count
        for index, theirs in enumerate(words, start=1):
            replaced = diagonal + (mine.key != theirs.key)
            diagonal = edits[index]
            edits[index] = min(replaced, edits[index] + 1, edits[index - 1] + 1)
    return same + min(range(len(edits)), key=lambda index: (edits[index], -index))
