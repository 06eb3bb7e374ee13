"""What is compared of words: letters with their vowel signs, and digits, without case and punctuation. Pure."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

OPTIONAL_POINTS: Final = range(10, 37)
"""Combining classes (Unicode) of the points of Hebrew, Arabic and Syriac: the same word is written with and without."""
ACCENTS: Final = 200
"""From this combining class on, marks are accents. Letters that are usually written with one include it (NFC)."""
VOWEL_SIGNS: Final = "".join(
    character
    for character in map(chr, (*range(0x300, 0x3100), *range(0xA600, 0xAC00)))  # Chinese and Hangul have none
    if unicodedata.category(character) in ("Mn", "Mc")
    and unicodedata.combining(character) not in OPTIONAL_POINTS
    and unicodedata.combining(character) < ACCENTS
)
"""Vowel signs and other marks that are part of a word, as the inside of a character class. They are no letters for
Python, but Hindi, Thai and the other scripts of South and South-East Asia write most vowels with them."""
LETTER: Final = f"(?:[^\\W_]|[{VOWEL_SIGNS}])"
"""A letter, a vowel sign or a digit, as a regular expression."""
_LETTER: Final = re.compile(LETTER)
_NO_LETTER: Final = re.compile(f"[^\\w{VOWEL_SIGNS}]|_")


def normalised(word: str) -> str:
    """The letters and digits of a word, without case; the word itself if it has none."""
    return _NO_LETTER.sub("", unicodedata.normalize("NFC", word.casefold())) or word.strip()


def has_letters(text: str) -> bool:
    """Whether a text has more than spaces and punctuation."""
    return bool(_LETTER.search(text))


def common_prefix(left: Sequence[str], right: Sequence[str]) -> int:
    """How many of the first words are equal."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
