"""Finds filler words such as "uh" and "äh", with the commas and spaces that belong to them. Pure."""

import re
from functools import cache
from typing import Final

from worker.wording.edits import Edit

FILLERS: Final = {
    "en": r"u+h+m*|u+m+|e+rm?|h+m+|mm+m",
    "de": r"ä+h+m*|ö+h+m*|e+hm+|h+m+|mm+m",
    "es": r"e+h+m*|em+|h+m+|mm+m",
    "fr": r"e+uh+|h+eu+|h+u+m+|h+m+|mm+m",
    "it": r"e+h*m+|u+h*m+|h+m+|mm+m",
    "nl": r"e+h+m*|u+h+m*|e+uh+|h+m+|mm+m",
    "pt": r"a+h*n+|h+u+m+|h+m+|mm+m",
}
"""By language. Words that also have a meaning in their language, such as the Italian "eh", are not listed."""
ANY_LANGUAGE: Final = r"u+h+m*|ä+h+m*|ö+h+m*|e+hm+|e+uh+|hm+m|mm+m"
"""Those that are not a word in any of the languages, for speech in an unknown language."""
_SENTENCE_ENDS: Final = ".?!…"


def edits(text: str, language: str | None) -> list[Edit]:
    """Removes each filler word. A sentence that began with one gets a capital letter again."""
    found: list[Edit] = []
    pattern = _pattern(FILLERS.get(language or "") or ANY_LANGUAGE)
    for run in pattern.finditer(text):
        before = text[: run.start()].rstrip()
        if not before or before[-1] in _SENTENCE_ENDS:
            found += _at_beginning(text, run.start(), run.end(), pattern)
        else:
            found.append(_inside(text, run.end(), before))
    return found


@cache
def _pattern(fillers: str) -> re.Pattern[str]:
    """A run of filler words and the characters between them."""
    one = rf"(?<![\w'’-])(?:{fillers})(?![\w'’-])"
    return re.compile(rf"{one}(?:[\s,.…]+{one})*", re.IGNORECASE)


def _at_beginning(text: str, start: int, end: int, pattern: re.Pattern[str]) -> list[Edit]:
    """Also removes the marks after it: a sentence without other words is removed completely."""
    while end < len(text) and (text[end].isspace() or text[end] in _SENTENCE_ENDS + ",;-–—"):
        end += 1
    removed = Edit(start, end, "")
    first = text[end : end + 1]
    if text[start].isupper() and first.islower() and not pattern.match(text, end):
        return [removed, Edit(end, end + 1, first.upper())]
    return [removed]


def _inside(text: str, end: int, before: str) -> Edit:
    """Also removes the space before it, and one of two commas around it."""
    start, after = len(before), text[end : end + 1]
    if before.endswith(",") and after == ",":
        end += 1
    elif before.endswith(",") and (not after or after in _SENTENCE_ENDS):
        start -= 1
    return Edit(start, end, "")
