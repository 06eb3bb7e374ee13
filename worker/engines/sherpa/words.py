"""The words of one segment, from pieces of text that are only appended. Pure.

A word of a script with spaces ends where the next begins; a Chinese, Japanese or Korean character is a word by itself
unless spaces separate words. Models give only the start of a piece, so its end is estimated.
"""

import re
from dataclasses import dataclass
from typing import Final

from shared.events import Word
from shared.seams import CHINESE_AND_JAPANESE
from shared.words import has_letters
from worker.engines.sherpa.spelling import Piece

PIECE_SAMPLES: Final = 3_840
"""0.24 s: a word ends so long after its last piece began, or where the next word begins."""
_PART: Final = re.compile(rf"\s+|[{CHINESE_AND_JAPANESE}][\uff9e\uff9f]?|[^\s{CHINESE_AND_JAPANESE}]+")
"""Half-width marks of voicing belong to the kana before them. Words of the other scripts, Korean and Thai as well, are
separated by the spaces that the model writes."""
_IS_WORD: Final = re.compile(f"[{CHINESE_AND_JAPANESE}]")


@dataclass(slots=True)
class _Spoken:
    text: str
    spaced: bool
    """Whether a space precedes it."""
    start_samples: int
    last_samples: int
    """Where its last piece began."""


class Words:
    def __init__(self) -> None:
        self._words: list[_Spoken] = []
        self._spaced = False
        """Whether a space follows the last word."""

    def __bool__(self) -> bool:
        return bool(self._words)

    @property
    def text(self) -> str:
        return "".join((" " if word.spaced else "") + word.text for word in self._words).strip()

    @property
    def last_samples(self) -> int:
        """Where the last piece began."""
        return self._words[-1].last_samples

    def begins_word(self, piece: Piece) -> bool:
        """Whether a word ends before this piece."""
        part = piece.text[:1]
        return bool(self._words) and (part.isspace() or self._is_new(part))

    def append(self, piece: Piece) -> None:
        for part in _PART.findall(piece.text):
            if part.isspace():
                self._spaced = True
            elif not self._words or self._is_new(part):
                self._words.append(_Spoken(part, self._spaced, piece.at_samples, piece.at_samples))
                self._spaced = False
            else:
                self._words[-1].text += part
                self._words[-1].last_samples = piece.at_samples

    def whole(self) -> tuple[Word, ...]:
        """The words that cannot change any more, since another one has begun after them."""
        return tuple(self._timed(index) for index in range(len(self._words) - 1))

    def closed(self, end_samples: int) -> tuple[Word, ...]:
        """All words of a segment that ends there."""
        if not self._words:
            return ()
        last = self._words[-1]
        end = max(last.start_samples, min(last.last_samples + PIECE_SAMPLES, end_samples))
        return (*self.whole(), Word(last.text, last.start_samples, end))

    def _timed(self, index: int) -> Word:
        word, following = self._words[index], self._words[index + 1]
        end = min(word.last_samples + PIECE_SAMPLES, following.start_samples)
        return Word(word.text, word.start_samples, end)

    def _is_new(self, part: str) -> bool:
        """Punctuation belongs to the character before it."""
        last = self._words[-1].text
        after_word = bool(_IS_WORD.match(last)) and has_letters(part[0])
        return self._spaced or bool(_IS_WORD.match(part)) or after_word
