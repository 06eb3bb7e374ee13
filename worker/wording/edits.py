"""Replaces parts of a text, and updates its timed words. Pure.

    applied("I have twenty five dogs", words, [Edit(7, 18, "25")])

gives "I have 25 dogs". Its third word is "25", from the start of "twenty" to the end of "five".
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.events import Word
from shared.word_places import places_of
from shared.words import has_letters


@dataclass(frozen=True, slots=True)
class Edit:
    """The characters from `start` to `end` become `replacement`. Edits of one text do not overlap and are in order."""

    start: int
    end: int
    replacement: str


def applied(text: str, words: Sequence[Word], edits: Sequence[Edit]) -> tuple[str, tuple[Word, ...]]:
    """The text and its words after the edits.

    Words that one replacement covers become one word, from the start of the first to the end of the last. A word that
    becomes empty is dropped; if only a mark of it remains, the previous word gets the mark. All words are dropped if
    they are not those of the text.
    """
    if not edits:
        return text, tuple(words)
    places = places_of(text, (word.text for word in words))
    edited: list[Word] = []
    for group in _groups(places, edits) if all(places) else ():
        start, end = places[group.start].start, places[group.stop - 1].stop
        before, after = text[start:end], _replaced(text, edits, start, end).strip()
        if has_letters(after) or after == before:
            edited.append(_merged(words[group.start : group.stop], after))
        elif edited:
            edited[-1] = replace(edited[-1], text=edited[-1].text + after)
    return _replaced(text, edits, 0, len(text)).strip(), tuple(edited)


def _groups(places: Sequence[range], edits: Sequence[Edit]) -> list[range]:
    """Which successive words become one."""
    groups: list[range] = []
    for index, place in enumerate(places):
        before_end = places[index - 1].stop if index else 0
        if index and any(edit.replacement for edit in _overlapping(edits, place.start, before_end)):
            groups[-1] = range(groups[-1].start, index + 1)
        else:
            groups.append(range(index, index + 1))
    return groups


def _merged(words: Sequence[Word], text: str) -> Word:
    known = [word.confidence for word in words if word.confidence is not None]
    return Word(text, words[0].start_samples, words[-1].end_samples, min(known, default=None))


def _replaced(text: str, edits: Sequence[Edit], start: int, end: int) -> str:
    """A part of the text, with the edits inside it applied."""
    parts: list[str] = []
    at = start
    for edit in _overlapping(edits, start, end):
        parts += (text[at : max(at, edit.start)], edit.replacement)
        at = min(edit.end, end)
    return "".join((*parts, text[at:end]))


def _overlapping(edits: Sequence[Edit], after: int, before: int) -> Sequence[Edit]:
    """The edits that end after the one position and start before the other."""
    first = bisect_right(edits, after, key=lambda edit: edit.end)
    return edits[first : bisect_left(edits, before, lo=first, key=lambda edit: edit.start)]
