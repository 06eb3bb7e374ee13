"""Turns the tokens of a stream into pieces of text with positions. Pure.

Tokens are only appended, and so are pieces. There are three kinds of tokens: pieces of words with a mark where a word
begins (BPE), bytes of characters that the vocabulary lacks, and pieces with a mark if the next one continues the word
(Paraformer). For other tokens (BPE over bytes), the text that the library makes of them is used, piece by piece.
"""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.events import SAMPLE_RATE_HZ

WORD_MARK: Final = "▁"
GOES_ON: Final = "@@"
_BYTE: Final = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True, slots=True)
class Said:
    """The whole output of a stream so far."""

    tokens: Sequence[str]
    """Beginnings of words have a space before them, or `▁`; those of Paraformer have `@@` after them instead if
    the next token continues the word."""
    times_s: Sequence[float]
    """Seconds since the beginning of the stream, one for each token; some models give none."""
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    """With a space before it if it begins a word."""
    at_samples: int


class Spelling:
    """One stream, whose first sample is `start_samples` of the session."""

    def __init__(self, start_samples: int, *, marks_words: bool) -> None:
        """`marks_words`: whether tokens mark the beginning of a word; Paraformer's mark its continuation instead."""
        self._start_samples = start_samples
        self._marks_words = marks_words
        self._known = 0
        self._text = ""
        """All pieces so far."""
        self._last_token = ""
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._has_bytes = False
        self._last_samples = start_samples

    def hear(self, said: Said, first_samples: int, last_samples: int) -> list[Piece]:
        """The new pieces. They are from audio between the two positions, whatever their times are."""
        fresh = said.tokens[self._known :]
        if not fresh:
            return []
        times = self._positions(said, first_samples, last_samples)
        self._known = len(said.tokens)
        texts = [self._spelled(token) for token in fresh]
        spelled = self._text + "".join(texts)
        if not self._has_bytes and spelled.strip() != said.text.strip():
            texts, times = self._beyond(said.text, times)
        pieces = [Piece(text, at) for text, at in zip(texts, times, strict=True) if text]
        self._text += "".join(piece.text for piece in pieces)
        return pieces

    def _positions(self, said: Said, first_samples: int, last_samples: int) -> list[int]:
        """One for each new token, in order."""
        count = len(said.tokens) - self._known
        if len(said.times_s) == len(said.tokens):
            told = [self._start_samples + round(time_s * SAMPLE_RATE_HZ) for time_s in said.times_s[self._known :]]
        else:
            step = (last_samples - first_samples) / (count + 1)
            told = [first_samples + round(step * (index + 1)) for index in range(count)]
        positions = []
        for position in told:
            self._last_samples = max(self._last_samples, min(max(position, first_samples), last_samples))
            positions.append(self._last_samples)
        return positions

    def _spelled(self, token: str) -> str:
        before, self._last_token = self._last_token, token
        if found := _BYTE.fullmatch(token):
            self._has_bytes = True
            return self._characters.decode(bytes.fromhex(found[1]))
        if self._marks_words:
            return self._characters.decode(token.replace(WORD_MARK, " ").encode())
        joined = before.endswith(GOES_ON) or not (token.isascii() or before.isascii())
        return ("" if joined else " ") + token.removesuffix(GOES_ON)

    def _beyond(self, text: str, times: Sequence[int]) -> tuple[list[str], list[int]]:
        """The new characters of the text, distributed over the positions of the new tokens."""
        grown = text.lstrip()[len(self._text.lstrip()) :]
        texts = list(grown)
        return texts, [times[index * len(times) // len(texts)] for index in range(len(texts))]
