"""How much pieces of text sound like key terms, by their letters. Pure.

Letters are folded to classes of similar sounds, as in Soundex and its successors, but each vowel keeps its place: what
a model writes for a name that it does not know differs most in vowels, doubled letters and voicing. Vowel signs, as in
Hindi, are left out: one of the vowels has none.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.words import LETTER, VOWEL_SIGNS

MAX_KEY: Final = 24
_LETTERS: Final = str.maketrans({"ł": "l", "ø": "o", "æ": "e", "œ": "e", "ß": "ss", "đ": "d", "þ": "t", "ð": "d"})
_DIGRAPHS: Final = (
    (re.compile("tsch|tch|sch|szcz|cz|ch|sh|sz|zh|cs(?!t)"), "x"),
    (re.compile("ph|gh(?=t)"), "f"),
    (re.compile("ck|qu|q"), "k"),
    (re.compile("c(?=[eiy])"), "s"),
    (re.compile("wr"), "r"),
    (re.compile("kn|gn"), "n"),
    (re.compile("(?<=.)h|gh"), ""),
    (re.compile("[aeiouy]+"), "a"),
    (re.compile(f"[{VOWEL_SIGNS}]"), ""),
)
_LETTER: Final = re.compile(LETTER)
_CLASSES: Final = str.maketrans("bcdgjvwz", "pktkxffs")


def letters(text: str) -> str:
    """The letters and digits of a text, without case and accents."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(_LETTER.findall(plain))


def sound_key(text: str) -> str:
    """The classes of a text's sounds; at most `MAX_KEY`."""
    key = letters(text)
    for pattern, replacement in _DIGRAPHS:
        key = pattern.sub(replacement, key)
    key = key.translate(_CLASSES)
    return "".join(one for one, before in zip(key, " " + key, strict=False) if one != before)[:MAX_KEY]


def similarities(texts: Sequence[str], others: Sequence[str], pairs: NDArray[np.intp]) -> NDArray[np.float64]:
    """Of `pairs` of them, `[2, pairs]`: 1 less the edits as a share of the longer one; 0 if one is empty."""
    left, left_lengths = (coded[..., pairs[0]] for coded in _coded(texts))
    right, right_lengths = (coded[..., pairs[1]] for coded in _coded(others))
    places = np.arange(len(right) + 1, dtype=np.int16)[:, None]
    # row[k, pair]: edits between the first letters of the text and the first k letters of the other
    row = np.broadcast_to(places, (len(right) + 1, pairs.shape[1])).copy()
    distance = np.zeros(pairs.shape[1], np.int16)
    for index, letter in enumerate(left):
        new = row + 1
        np.minimum(new[1:], row[:-1] + (letter != right), out=new[1:])
        row = np.minimum.accumulate(new - places) + places  # insertions follow each other
        ends = np.flatnonzero(left_lengths == index + 1)
        distance[ends] = row[right_lengths[ends], ends]
    longest = np.maximum(left_lengths, right_lengths)
    known = (left_lengths > 0) & (right_lengths > 0)
    return np.where(known, (longest - distance) / np.maximum(longest, 1), 0.0)


def bounds(texts: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
    """`[texts, others]`: what `similarities` does not exceed, by the letters that both have. Much faster."""
    common = np.zeros((len(texts), len(others)), np.intp)
    for letter in set("".join(others)) & set("".join(texts)):
        left, right = (np.array([text.count(letter) for text in side], np.intp) for side in (texts, others))
        rows, columns = np.flatnonzero(left), np.flatnonzero(right)
        common[np.ix_(rows, columns)] += np.minimum.outer(left[rows], right[columns])
    left, right = (np.array([len(text) for text in side], np.intp) for side in (texts, others))
    return common / np.maximum(np.maximum.outer(left, right), 1)


def _coded(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Code points, `[longest, texts]`, and lengths."""
    lengths = np.array([len(text) for text in texts], np.intp)
    coded = np.zeros((lengths.max(initial=0), len(texts)), np.uint32)
    for column, text in zip(coded.T, texts, strict=True):
        column[: len(text)] = [ord(one) for one in text]
    return coded, lengths
