"""Writes spoken numbers as digits: "twenty-five" becomes "25". Pure; text2num finds the numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from text_to_num import find_numbers

from worker.wording.edits import Edit

LANGUAGES: Final = frozenset({"en", "fr", "es", "pt", "de", "it", "nl"})
"""The languages of text2num."""
ALONE_ABOVE: Final = 3.5
"""Up to this value, a single number stays a word: "one of them" is not a quantity."""
_TOKEN: Final = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*|[^\w\s]")
_DIGITS: Final = frozenset(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
_CENTURIES: Final = range(11, 21)
"""English years are spoken in two halves; this is the first: "nineteen ninety-nine"."""


@dataclass(frozen=True, slots=True)
class _Token:
    """Implements `text_to_num.Token`."""

    said: str
    start: int
    end: int

    def text(self) -> str:
        return self.said

    def nt_separated(self, previous: Any) -> bool:  # noqa: ARG002 -- the protocol of text2num
        return False

    def not_a_number_part(self) -> bool:
        return False


def edits(text: str, language: str | None, alone_above: float = ALONE_ABOVE) -> list[Edit]:
    """Replaces spoken numbers; none in languages that are not in `LANGUAGES`."""
    if language not in LANGUAGES:
        return []
    tokens = [_Token(found.group(), found.start(), found.end()) for found in _TOKEN.finditer(text)]
    if language == "en":
        tokens = _with_zeros(tokens)
    found = [
        Edit(tokens[number.start].start, tokens[number.end - 1].end, number.text)
        for number in find_numbers(tokens, language, alone_above)
    ]
    return [_ended_once(text, edit) for edit in (_years(text, found) if language == "en" else found)]


def _with_zeros(tokens: Sequence[_Token]) -> list[_Token]:
    """English speakers say "oh" for the digit zero: after a digit, or before two."""
    heard: list[_Token] = []
    for at, token in enumerate(tokens):
        follows = bool(heard) and heard[-1].said.lower() in _DIGITS
        leads = [after.said.lower() in _DIGITS for after in tokens[at + 1 : at + 3]] == [True, True]
        is_zero = token.said.lower() in ("oh", "o") and (follows or leads)
        heard.append(replace(token, said="zero") if is_zero else token)
    return heard


def _years(text: str, found: Sequence[Edit]) -> list[Edit]:
    """Joins two successive halves of a year into one number."""
    joined: list[Edit] = []
    for edit in found:
        last = joined[-1] if joined else None
        if last is not None and _is_year(last.replacement, edit.replacement) and text[last.end : edit.start] == " ":
            joined[-1] = Edit(last.start, edit.end, last.replacement + edit.replacement)
        else:
            joined.append(edit)
    return joined


def _is_year(first: str, second: str) -> bool:
    halves = first.isdecimal() and second.isdecimal() and len(first) == len(second) == 2
    return halves and int(first) in _CENTURIES


def _ended_once(text: str, edit: Edit) -> Edit:
    """German ordinals end with a full stop, which may also end the sentence."""
    doubled = edit.replacement.endswith(".") and text[edit.end : edit.end + 1] == "."
    return Edit(edit.start, edit.end, edit.replacement[:-1]) if doubled else edit
