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
"""Longer keys are compared by their beginnings."""
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


def similarities(texts: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
    """`[texts, others]`: 1 less the edits between both, as a share of the longer one; 0 for empty texts."""
    found = np.zeros((len(texts), len(others)))
    if not texts or not others:
        return found
    left, left_lengths = _coded(texts)
    right, right_lengths = _coded(others)
    columns = right.shape[1]
    # row[i, j, k]: edits between the first letters of text i and the first k letters of other j
    row = np.broadcast_to(np.arange(columns + 1, dtype=np.int16), (len(texts), len(others), columns + 1)).copy()
    distance = np.zeros((len(texts), len(others)), np.int16)
    at = np.broadcast_to(right_lengths[None, :, None], (len(texts), len(others), 1))
    for index in range(left.shape[1]):
        differs = left[:, None, index, None] != right[None, :, :]
        new = np.empty_like(row)
        new[..., 0] = index + 1
        np.minimum(row[..., 1:] + 1, row[..., :-1] + differs, out=new[..., 1:])
        for column in range(1, columns + 1):  # insertions follow each other
            np.minimum(new[..., column], new[..., column - 1] + 1, out=new[..., column])
        row = new
        ends = left_lengths == index + 1
        if ends.any():
            distance[ends] = np.take_along_axis(row[ends], at[ends], axis=2)[..., 0]
    longest = np.maximum(left_lengths[:, None], right_lengths[None, :])
    known = (left_lengths[:, None] > 0) & (right_lengths[None, :] > 0)
    np.divide(longest - distance, longest, out=found, where=known)
    return found


def bounds(texts: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
    """`[texts, others]`: what `similarities` does not exceed, by the letters that both have. Much faster."""
    common = np.zeros((len(texts), len(others)), np.intp)
    for letter in set("".join(others)):
        left, right = (np.array([text.count(letter) for text in side], np.intp) for side in (texts, others))
        rows, columns = np.flatnonzero(left), np.flatnonzero(right)
        common[np.ix_(rows, columns)] += np.minimum.outer(left[rows], right[columns])
    left, right = (np.array([len(text) for text in side], np.intp) for side in (texts, others))
    return common / np.maximum(np.maximum.outer(left, right), 1)


def _coded(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Code points, `[texts, longest]`, and lengths."""
    lengths = np.array([len(text) for text in texts], np.intp)
    coded = np.zeros((len(texts), max(int(lengths.max()), 1)), np.uint32)
    for row, text in zip(coded, texts, strict=True):
        row[: len(text)] = [ord(one) for one in text]
    return coded, lengths
