"""The words of a text as text2num reads them, with what it does not know of spoken numbers. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from text_to_num import text2num

CENTURIES: Final = range(14, 21)
"""English years are spoken in two halves; this is the first: "nineteen ninety-nine". Before, they are like times."""
_TOKEN: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+|[-‐‑](?=[^\W\d_])(?<=[^\W\d_][-‐‑])[^\W_]+)*|[^\w\s]")
"""A word, with its hyphens between letters, or a mark."""
_PART: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+|-feira\b)*")
"""Of a word with hyphens. Portuguese days stay whole: "sexta-feira" holds no number."""
_MULTIPLIERS: Final = frozenset(10**power for power in (2, 3, 6, 9, 12))
_THOUSAND: Final = 1000
_OF_THOUSANDS: Final = frozenset({"es", "fr", "it", "pt"})
"""Languages in which "a thousand million" is a number."""
_JOINTS: Final = frozenset({"and", "et", "y", "e", "und", "en"})
_ENGLISH_DIGITS: Final = frozenset(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
_PORTUGUESE_DIGITS: Final = frozenset(["zero", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove"])
_SAID: Final = {"veintiún": "veintiuno", "veintiun": "veintiuno"}
"""Words that text2num does not know, and those that it knows instead."""


@dataclass(frozen=True, slots=True)
class Token:
    """Implements `text_to_num.Token`."""

    said: str
    start: int
    end: int
    begins: bool = False
    """Whether it belongs to no number before it."""

    def text(self) -> str:
        return self.said

    def nt_separated(self, previous: Any) -> bool:  # noqa: ARG002 -- the protocol of text2num
        return self.begins

    def not_a_number_part(self) -> bool:
        return False


def tokens(text: str, language: str) -> list[Token]:
    """The words and marks of the text, with zeros and sixes as such, and apart where a new number begins."""
    found: list[Token] = []
    for word in _TOKEN.finditer(text):
        is_number = value_of(word.group(), language) is not None  # "vingt-cinq" is one word, "five-five" two
        parts = [word] if is_number or not word.group()[0].isalnum() else _PART.finditer(text, *word.span())
        found += [Token(_SAID.get(part.group().lower(), part.group()), *part.span()) for part in parts]
    if prepared := _PREPARED.get(language):
        found = prepared(found)
    return _apart(found, language)


def is_multiplier(value: int | None) -> bool:
    """Whether a word with this value is "hundred", "thousand" and so on."""
    return value in _MULTIPLIERS


@lru_cache(maxsize=4096)
def value_of(word: str, language: str) -> int | None:
    """The value of a word that is a number; None for other words, for ordinals and for digits."""
    if not word[:1].isalpha():
        return None
    try:
        return int(text2num(word.lower(), language))
    except ValueError:
        return None


def _with_zeros(found: Sequence[Token]) -> list[Token]:
    """English speakers say "oh" for the digit zero: after a digit, before two, and in years."""
    heard: list[Token] = []
    for at, token in enumerate(found):
        before = heard[-1].said.lower() if heard else ""
        after = [later.said.lower() in _ENGLISH_DIGITS for later in found[at + 1 : at + 3]]
        is_year = after[:1] == [True] and value_of(before, "en") in CENTURIES
        is_zero = token.said.lower() in ("oh", "o") and (before in _ENGLISH_DIGITS or after == [True, True] or is_year)
        heard.append(replace(token, said="zero") if is_zero else token)
    return heard


def _with_sixes(found: Sequence[Token]) -> list[Token]:
    """Brazilians say "meia" (half a dozen) for the digit six: beside at least two others that are more than "um"."""
    heard = list(found)
    start = 0
    while start < len(heard):
        end = start
        while end < len(heard) and _is_portuguese_digit(heard[end].said):
            end += 1
        if sum(one.said.lower() in _PORTUGUESE_DIGITS for one in heard[start:end]) > 1:
            for at in range(start, end):
                if heard[at].said.lower() == "meia":
                    heard[at] = replace(heard[at], said="seis")
        start = end + 1
    return heard


def _is_portuguese_digit(said: str) -> bool:
    return said.lower() in _PORTUGUESE_DIGITS or said.lower() in ("meia", "um", "uma", ",", "-")


def _apart(found: Sequence[Token], language: str) -> list[Token]:
    """Separates numbers that text2num would add up: "two hundred [and] three hundred" repeats a multiplier."""
    heard = list(found)
    values = [value_of(token.said, language) for token in found]
    used: list[int] = []
    """The multipliers of the number so far."""
    group: int | None = None
    """Where its words begin after "thousand" or "and"."""
    first: int | None = None
    """The same, or after "hundred"."""
    for at, value in enumerate(values):
        before = values[at - 1] if at else None
        if value is None:
            after = values[at + 1] if at + 1 < len(values) else None
            is_joint = found[at].said.lower() in _JOINTS
            if is_joint and _is_joined(before, after, language):
                continue
            if is_joint and language == "en" and first is not None:  # there, it is said after "hundred" only
                heard[at + 1 : at + 2] = [replace(one, begins=True) for one in heard[at + 1 : at + 2]]
                used = []
            used = used if is_joint else []
            group = first = None
        elif not is_multiplier(value):
            is_new = language == "en" and not (before is None or is_multiplier(before) or _is_compound(before, value))
            group = at if group is None or is_new else group
            first = at if first is None or is_new else first
        else:
            if _is_repeated(value, used, language):
                start = group if value >= _THOUSAND else first
                start = at if start is None else start
                heard[start] = replace(heard[start], begins=True)
                used = []
            used = [*(one for one in used if one > value), value]
            first = None
            group = None if value >= _THOUSAND else at if group is None else group
    return heard


def _is_joined(before: int | None, after: int | None, language: str) -> bool:
    """Whether an "and" is inside a number below 100, or below 1000 in Portuguese."""
    if before is None or after is None or language == "en":
        return False
    if language in ("de", "nl"):
        return _is_compound(after, before)
    if language == "pt" and before in range(100, 1000, 100):
        return after < 100
    return _is_compound(before, after) and (language != "fr" or after == 1)


def _is_compound(tens: int, unit: int) -> bool:
    return tens in range(20, 100, 10) and unit in range(1, 10)


def _is_repeated(value: int, used: Sequence[int], language: str) -> bool:
    if value in used:
        return True
    is_larger = any(_THOUSAND <= one < value for one in used)
    return is_larger and not (language in _OF_THOUSANDS and _THOUSAND in used)


_PREPARED: Final[dict[str, Callable[[Sequence[Token]], list[Token]]]] = {"en": _with_zeros, "pt": _with_sixes}
