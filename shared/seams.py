"""How the texts of successive segments are joined: with a space, or without one if the script has none. Pure.

The characters at the seam decide, since one session may hold several languages.
"""

import re
from collections.abc import Iterable
from typing import Final

CHINESE_AND_JAPANESE: Final = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Chinese characters and kana, as the inside of a character class: one character is about a word."""
UNSPACED: Final = (
    f"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f{CHINESE_AND_JAPANESE}"
)
"""The scripts without spaces between words, in the same form: Chinese, Japanese, Thai, Lao, Burmese and Khmer."""
_WIDE_MARKS: Final = "\u3001-\u3004\u3008-\u3030\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
"""Full-width punctuation: it includes its own space."""
_NEUTRAL: Final = r"[\W\d_]"
"""Punctuation and digits: they belong to the script of the letters next to them."""
_ENDS_WIDE: Final = re.compile(f"[{_WIDE_MARKS}]\\Z")
_BEGINS_WIDE: Final = re.compile(f"[{_WIDE_MARKS}]")
_ENDS_UNSPACED: Final = re.compile(f"[{UNSPACED}]{_NEUTRAL}*\\Z")
_BEGINS_UNSPACED: Final = re.compile(f"{_NEUTRAL}*[{UNSPACED}]")
_LETTERLESS: Final = re.compile(f"{_NEUTRAL}*")
NEAR_CHARS: Final = 32
"""How many characters of each side are examined: the texts of an hour are joined repeatedly."""


def seam(before: str, after: str) -> str:
    """The separator of two texts: a space, or nothing if one is empty or both are in scripts without spaces.

    A side without letters belongs to the script of the other side.
    """
    before, after = before[-NEAR_CHARS:], after[:NEAR_CHARS]
    if not before or not after or before[-1].isspace() or after[0].isspace():
        return ""
    if _ENDS_WIDE.search(before) or _BEGINS_WIDE.match(after):
        return ""
    ends, begins = _ENDS_UNSPACED.search(before), _BEGINS_UNSPACED.match(after)
    if ends and begins:
        return ""
    if (ends and _LETTERLESS.fullmatch(after)) or (begins and _LETTERLESS.fullmatch(before)):
        return ""
    return " "


def is_decided(before: str, beginning: str) -> bool:
    """Whether `seam` is the same for every text with this beginning: digits alone do not determine the script."""
    if not before or len(beginning) >= NEAR_CHARS or not _LETTERLESS.fullmatch(beginning):
        return True
    near = before[-NEAR_CHARS:]
    return not (_ENDS_UNSPACED.search(near) or _LETTERLESS.fullmatch(near))


def joined(texts: Iterable[str]) -> str:
    """The texts of successive segments as one text; empty ones are ignored."""
    parts: list[str] = []
    before = ""
    for text in texts:
        if text:
            between = seam(before, text)
            parts += (between, text)
            before = (before + between + text)[-NEAR_CHARS:]  # a number takes its script from the text before it
    return "".join(parts)
