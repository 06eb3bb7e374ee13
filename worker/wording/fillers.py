"""Finds filler words such as "uh" and "äh", with the commas and spaces that belong to them. Pure."""

import re
from functools import cache
from typing import Final

from worker.wording.edits import Edit

FILLERS: Final = {
    "en": r"u+h+m*|u+m+|e+rm?|h+m+|mm+m",
    "de": r"ä+h+m*|ö+h+m*|e+hm+|h+m+|mm+m",
    "es": r"(?<![¿¡])e+h+(?!\s?[?!])|e+h+m+|em+|h+m+|mm+m",
    "fr": r"e+uh+|h+eu+|h+u+m+|h+m+|mm+m",
    "it": r"e+h*m+|u+h*m+|h+m+|mm+m",
    "nl": r"e+h+m*|u+h+m*|e+uh+|h+m+|mm+m",
    "pt": r"a+h+n+|h+u+m+|h+m+|mm+m",
}
"""By language. Words that also have a meaning there, such as the Italian "eh" and Spanish "¿eh?", are not listed."""
ANY_LANGUAGE: Final = r"u+h+m*|ä+h+m*|ö+h+m*|e+hm+|e+uh+|hm+m|mm+m"
"""Those that are not a word in any of the languages, for speech in an unknown language."""
_SENTENCE_ENDS: Final = ".?!…"
_DASHES: Final = "-–—"
_CLOSING: Final = {"(": ")", "[": "]", "“": "”", "„": "“", "«": "»", "»": "«", "‘": "’", "¿": "?", "¡": "!", '"': '"'}
"""By the opening mark."""


def edits(text: str, language: str | None) -> list[Edit]:
    """Removes each filler word. A sentence that began with one gets a capital letter again."""
    found: list[Edit] = []
    pattern = _pattern(FILLERS.get(language or "") or ANY_LANGUAGE, keeps_capitals=any(map(str.islower, text)))
    before, is_adjacent = "", True
    for run in pattern.finditer(text):
        removed = found[-1].end if found else 0
        if not found or text[removed : run.start()].strip():
            before = text[: run.start()].rstrip()
            is_adjacent = len(before) == run.start()
        if _is_beginning(before, is_adjacent=is_adjacent):
            of_run = _at_beginning(text, run.start(), run.end(), pattern)
        else:
            of_run = [_inside(text, run.end(), before)]
        found += [Edit(max(edit.start, removed), edit.end, edit.replacement) for edit in of_run]
    return found


@cache
def _pattern(fillers: str, *, keeps_capitals: bool) -> re.Pattern[str]:
    """A run of filler words and the characters between them. Words in capitals are abbreviations: "the ER"."""
    abbreviation = r"(?!(?-i:[A-ZÄÖ]{2,})(?!\w))" if keeps_capitals else ""
    one = rf"(?<![\w'’-]){abbreviation}(?:{fillers})(?![\w'’-])"
    return re.compile(rf"{one}(?:[\s,.…]+{one})*", re.IGNORECASE)


def _is_beginning(before: str, *, is_adjacent: bool) -> bool:
    """Whether a sentence begins after this text: after another one, an opening mark, or the dash of a new speaker.

    `is_adjacent`: no space follows the text.
    """
    if not before or before[-1] in _SENTENCE_ENDS:
        return True
    if before[-1] in _DASHES:
        outer = before[:-1].rstrip()
        return not outer or outer[-1] in _SENTENCE_ENDS
    return before[-1] in _CLOSING and (is_adjacent or before[-1] == "«") and not before[-2:-1].isalnum()


def _at_beginning(text: str, start: int, end: int, pattern: re.Pattern[str]) -> list[Edit]:
    """Also removes the marks after it: a sentence without other words is removed completely, with marks around it."""
    is_capital = text[start].isupper()
    while end < len(text) and (text[end].isspace() or text[end] in _SENTENCE_ENDS + ",;-–—"):
        end += 1
    first = text[end : end + 1]
    before = text[:start].rstrip()
    if first and _CLOSING.get(before[-1:]) == first:
        return [_inside(text, end + 1, before[:-1].rstrip())]
    removed = Edit(start, end, "")
    if is_capital and first.islower() and not pattern.match(text, end):
        return [removed, Edit(end, end + 1, first.upper())]
    return [removed]


def _inside(text: str, end: int, before: str) -> Edit:
    """Also removes the space before it, and one of two commas or dashes around it."""
    after = text[end:].lstrip()[:1]
    if before.endswith(",") and text.startswith(",", end):
        return Edit(len(before), end + 1, "")
    is_last = not after or after in _SENTENCE_ENDS
    if (before.endswith(tuple(_DASHES)) and (is_last or after in _DASHES)) or (before.endswith(",") and is_last):
        return Edit(len(before[:-1].rstrip()), end, "")
    return Edit(len(before), end, "")
