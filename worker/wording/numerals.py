"""Writes spoken numbers as digits: "twenty-five" becomes "25". Pure; text2num finds the numbers.

A number whose words have another meaning at that place stays as it is: words are never wrong.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Final

from text_to_num import find_numbers

from worker.wording.edits import Edit
from worker.wording.number_words import CENTURIES, Token, is_multiplier, tokens, value_of

LANGUAGES: Final = frozenset({"en", "fr", "es", "pt", "de", "it", "nl"})
"""The languages of text2num."""
ALONE_ABOVE: Final = 3.5
"""Up to this value, a single number stays a word: "one of them" is not a quantity."""
_AMBIGUOUS: Final = {
    "de": frozenset({"achten"}),
    "en": frozenset({"tens"}),
    "es": frozenset({"cuarto", "cuartos", "cuarta", "cuartas", "quinta", "quintas"}),
    "fr": frozenset({"neuf"}),
    "it": frozenset({"sei", "quarto", "quarti", "quarta", "quinta", "quinte"}),
    "pt": frozenset({"quarto", "quartos", "quarta", "quartas", "quinta", "quintas", "sexta", "sextas"}),
}
"""Words that are often no number ("you are", "room", "new", weekdays), unless they are beside another number."""
_IDIOMS: Final = {
    "de": re.compile(
        r"\b(?:gib|gebe?|gibst|gibt|gebt|gab|gaben|geben sie|außer|ausser|nimm|nehmt|nehmen sie|in) acht\b(?! \w)"
        r"|\bacht (?:zu )?(?:geben|gegeben|gibt|gab|lassen|gelassen|nehmen|genommen)\b|\b(?:außer|ausser) acht\b",
        re.IGNORECASE,
    ),
    "nl": re.compile(r"\b(?:geef|geeft|gaf) acht\b|\bacht (?:geven|slaan|nemen)\b", re.IGNORECASE),
}
_ARTICLES: Final = frozenset({"ein", "een", "un", "une", "um", "uma", "una"})
"""The same in a row of three or more numbers."""
_ARTICLE_BEFORE: Final = {
    "en": re.compile(r"\ban? $", re.IGNORECASE),
    "de": re.compile(r"\beine[nr]? $", re.IGNORECASE),
}
"""Before a multiplier they are part of the number: "a hundred and five"."""
_RANGE: Final = {
    language: re.compile(rf"(\w+) (?:{joints}) $", re.IGNORECASE)
    for language, joints in {
        "en": "to|or",
        "de": "bis|oder",
        "es": "a|o",
        "fr": "à|ou",
        "it": "a|o",
        "nl": "tot|of",
        "pt": "a|ou",
    }.items()
}
"""Before the second of two numbers that may share a multiplier: the last word of the first one."""
_DECADE: Final = re.compile(r"[ -](?:twent|thirt|fort|fift|sixt|sevent|eight|ninet)ies\b", re.IGNORECASE)
_MONTHS: Final = "january|february|march|april|may|june|july|august|september|october|november|december"
_OF_MONTH: Final = re.compile(rf"\b(?:{_MONTHS})(?: the)? $", re.IGNORECASE)
_BESIDE: Final = re.compile(r"[\s,‐‑-]{1,2}")


@dataclass(frozen=True, slots=True)
class _Number:
    edit: Edit
    said: Sequence[Token]


def spoken(text: str, language: str | None, alone_above: float = ALONE_ABOVE) -> list[Edit]:
    """Every spoken number in digits; none in languages that are not in `LANGUAGES`."""
    return [number.edit for number in _numbers(text, language, alone_above)]


def edits(text: str, language: str | None) -> list[Edit]:
    """Writes those numbers in digits that are certainly numbers, and of this value."""
    numbers = _numbers(text, language, ALONE_ABOVE)
    if language is None or not numbers:
        return []
    idioms = [one.span() for one in _IDIOMS[language].finditer(text)] if language in _IDIOMS else []
    shared = _with_shared_multiplier(text, numbers, language)
    return [
        _ended_once(text, _with_article(text, number, language))
        for at, number in enumerate(numbers)
        if at not in shared
        and not _is_only_multiplier(number, language)
        and not _is_ambiguous(text, numbers, at, language)
        and not (language == "en" and _is_english_word(text, number.edit))
        and not any(start <= number.edit.start and number.edit.end <= end for start, end in idioms)
    ]


def _numbers(text: str, language: str | None, alone_above: float) -> list[_Number]:
    if language not in LANGUAGES:
        return []
    said = tokens(text, language)
    found = [
        _Number(Edit(said[one.start].start, said[one.end - 1].end, one.text), said[one.start : one.end])
        for one in find_numbers(said, language, alone_above)
    ]
    return _with_years(text, found) if language == "en" else found


def _with_years(text: str, numbers: Sequence[_Number]) -> list[_Number]:
    """Joins two halves of a year into one number, unless there is a third number beside them."""
    near = [text[one.edit.end : other.edit.start] == " " for one, other in pairwise(numbers)]
    near = [False, *near, False]  # whether each number directly follows the one before it
    joined: list[_Number] = []
    for at, number in enumerate(numbers):
        is_pair = near[at - 1 : at + 2] == [False, True, False]
        if is_pair and _is_year(joined[-1].edit.replacement, number.edit.replacement):
            first = joined[-1]
            whole = Edit(first.edit.start, number.edit.end, first.edit.replacement + number.edit.replacement)
            joined[-1] = _Number(whole, (*first.said, *number.said))
        else:
            joined.append(number)
    return joined


def _is_year(first: str, second: str) -> bool:
    halves = first.isdecimal() and second.isdecimal() and len(first) == len(second) == 2
    return halves and int(first) in CENTURIES


def _is_only_multiplier(number: _Number, language: str) -> bool:
    """ "Hundreds of people", "half a million" and "per cento" hold no value of their own."""
    values = [value_of(token.said, language) for token in number.said]
    return all(map(is_multiplier, values)) and (len(values) == 1 or language == "en")


def _is_ambiguous(text: str, numbers: Sequence[_Number], at: int, language: str) -> bool:
    edit = numbers[at].edit
    said = text[edit.start : edit.end].lower()
    if said in _AMBIGUOUS.get(language, ()):
        return _beside(text, numbers, at) == 0 or not edit.replacement.isdecimal()
    return said in _ARTICLES and _beside(text, numbers, at) <= 1


def _beside(text: str, numbers: Sequence[_Number], at: int) -> int:
    """How many other numbers belong to the same row ("five, six, seven"), of the two on each side."""

    def is_near(one: _Number, other: _Number) -> bool:
        return bool(_BESIDE.fullmatch(text, one.edit.end, other.edit.start))

    before = takewhile(lambda pair: is_near(pair[1], pair[0]), pairwise(reversed(numbers[max(at - 2, 0) : at + 1])))
    after = takewhile(lambda pair: is_near(*pair), pairwise(numbers[at : at + 3]))
    return len([*before, *after])


def _is_english_word(text: str, edit: Edit) -> bool:
    """ "The nineteen eighties" are a decade, and "a thirty second video" lasts that long."""
    if text[edit.start : edit.end].lower().endswith((" second", "-second")):
        return not (text.startswith(" of ", edit.end) or _OF_MONTH.search(_before(text, edit)))
    return bool(_DECADE.match(text, edit.end))


def _with_shared_multiplier(text: str, numbers: Sequence[_Number], language: str) -> set[int]:
    """Both numbers of "five to six hundred", which means 500 to 600: none is written in digits."""
    shared: set[int] = set()
    for at, number in enumerate(numbers):
        lower, high = _RANGE[language].search(_before(text, number.edit)), number.edit.replacement
        if lower is None or not (high.isdecimal() and high.endswith("00")):
            continue
        is_number = at > 0 and numbers[at - 1].edit.end == number.edit.start - (len(lower[0]) - len(lower[1]))
        low = numbers[at - 1].edit.replacement if is_number else str(value_of(lower[1], language) or lower[1])
        if low.isdecimal() and 0 < int(low) < int(high.rstrip("0") or 0):
            shared |= {at - 1, at} if is_number else {at}
    return shared


def _with_article(text: str, number: _Number, language: str) -> Edit:
    edit = number.edit
    article = _ARTICLE_BEFORE[language].search(_before(text, edit)) if language in _ARTICLE_BEFORE else None
    if article and is_multiplier(value_of(number.said[0].said, language)):
        return Edit(edit.start - len(article[0]), edit.end, edit.replacement)
    return edit


def _before(text: str, edit: Edit) -> str:
    """The last words before a number."""
    return text[max(edit.start - 40, 0) : edit.start]


def _ended_once(text: str, edit: Edit) -> Edit:
    """German ordinals end with a full stop, which may also end the sentence."""
    doubled = edit.replacement.endswith(".") and text[edit.end : edit.end + 1] == "."
    return Edit(edit.start, edit.end, edit.replacement[:-1]) if doubled else edit
