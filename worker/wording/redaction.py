"""Replaces private data by its kind: "[PHONE]". Pure.

Numbers are found in digits and as spoken words. Recognised speech is not exact, so check digits are not verified: a
card number with one wrong digit is redacted, too.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Final

from shared.seams import UNSPACED
from shared.session_options import Redaction
from shared.words import LETTER
from worker.wording import numerals
from worker.wording.edits import Edit

LABELS: Final = {
    Redaction.EMAILS: "[EMAIL]",
    Redaction.IBANS: "[IBAN]",
    Redaction.CARDS: "[CARD]",
    Redaction.PHONES: "[PHONE]",
    Redaction.NUMBERS: "[NUMBER]",
}
"""In search order: characters that one kind has taken are not available to later kinds."""
TAKEN: Final = "\0"
"""Replaces a character that is taken, for later kinds."""
TERM_LABEL: Final = "[REDACTED]"
WITHOUT_NUMBERS: Final = frozenset({Redaction.EMAILS})
"""Kinds that are found although numbers that are spoken as words are not."""
CARD_DIGITS: Final = range(13, 20)
PHONE_DIGITS: Final = range(7, 16)
IBAN_CHARS: Final = {
    **{"AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18},
    **{"FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20},
    **{"LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SE": 24, "SI": 19, "SK": 24},
}
"""Lengths by country (ISO 13616). For other countries, everything that could belong to the number is redacted."""
YEARS: Final = range(1900, 2100)

_DASHES: Final = "dash|hyphen|strich|bindestrich|tiret|gui[oó]n|trattino|streepje|h[ií]fen|traço"
_SPOKEN_MARKS: Final = {
    "en": ("at", "dot"),
    "de": ("at|ät|ett", "punkt|dot"),
    "es": ("arroba", "punto"),
    "fr": ("arobase|at", "point"),
    "it": ("chiocciola|at", "punto"),
    "nl": ("at|apenstaartje", "punt"),
    "pt": ("arroba", "ponto"),
}
"""How "@" and "." of an address are spoken, by language."""
_JOINTS: Final = (
    "underscore|unterstrich|underline|gui[oó]n bajo|tiret (?:du )?bas|trattino basso|liggend streepje|sublinhado"
    f"|plus|minus|{_DASHES}"
)
_APART: Final = "[ .,‐‑-]{0,2}"
"""What may be between two characters of an IBAN."""
_OF_LENGTH: Final = "|".join(
    rf"{_APART.join(country).replace('O', '[O0]')}(?:{_APART}\d){{2}}(?:{_APART}[A-Z\d]){{{length - 4}}}"
    for country, length in IBAN_CHARS.items()
)
_BANK: Final = rf"(?:{_APART}\d){{2}}(?:{_APART}[A-Z]){{4}}"
_CHAR: Final = rf"{_APART}(?:\d|[A-Z](?![A-Z]{{2}}))"
_IBAN: Final = re.compile(
    rf"(?<!\w)(?=((?:(?i:{_OF_LENGTH})|[A-Z]{_APART}[A-Z](?:{_BANK}(?:{_CHAR}){{8,28}}|(?:{_CHAR}){{12,32}}))(?!\w)))"
)
"""First those of the right length, in any case; then others (other countries, characters missing) in capitals. A single
"O" may have been taken for the digit."""
_TWICE: Final = "double|doble|doppel|doppio|dubbel|duplo"
_THRICE: Final = "triple|tripel|triplo"
_REPEATED: Final = re.compile(rf"\b(?:(oh?|{_TWICE})|{_THRICE})\b", re.IGNORECASE)
"""Stands for one more digit, or for two."""
_BETWEEN: Final = rf"(?:oh?|{_TWICE}|{_THRICE}|u+h*m*|ä+h+m*|e+u?h+m*|{_DASHES})"
"""Words that people say between digits."""
_PAUSE: Final = r"[\s.,;()/‐‑–—-]"
_DIGITS: Final = re.compile(
    rf"[+(]{{0,2}}(?:(?<!\w)(?:oh?|{_TWICE}|{_THRICE}){_PAUSE}{{1,2}}){{0,3}}\d"
    rf"(?:{_PAUSE}{{0,3}}(?:\d|{_BETWEEN}(?={_PAUSE}{{1,2}}(?:{_BETWEEN}{_PAUSE}{{1,2}}){{0,3}}\d)))*",
    re.IGNORECASE,
)
_BETWEEN_COMMAS: Final = re.compile(r"[^,;\s][^,;]*")
_NUMBER: Final = re.compile(r"(?!(?<=[A-Za-z])\d(?![ .,:/–-]?\d))\d+(?:[ .,:/–-]?\d+)*")
"""But for a single digit after a letter: "A4"."""
_INNER: Final = re.compile(f"{LETTER}(?:.*{LETTER})?", re.DOTALL)
_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*(?:[.,]\d{1,2})?")
_APOSTROPHES: Final = "'’ʼ"
_SPACED: Final = f"(?![{UNSPACED}])(?:{LETTER}|_)"
"""A character of a word, in a script with spaces between words."""


class _Spelled:
    """A text with its spoken numbers in digits."""

    def __init__(self, text: str, numbers: Sequence[Edit]) -> None:
        self._starts: list[int] = []
        """Where each part starts in `text`: spoken numbers, and the text between them."""
        self._spans: list[tuple[int, int]] = []
        """The same parts in the original text."""
        self._spoken: set[int] = set()
        """Which of the parts are spoken numbers."""
        parts: list[str] = []
        at = length = 0
        for edit in (*numbers, Edit(len(text), len(text), "")):
            for start, end, part in ((at, edit.start, text[at : edit.start]), (edit.start, edit.end, edit.replacement)):
                if part:
                    if start == edit.start:
                        self._spoken.add(len(self._starts))
                    self._starts.append(length)
                    self._spans.append((start, end))
                    parts.append(part)
                    length += len(part)
            at = edit.end
        self.text = "".join(parts)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The position of a part of `text` in the original text; spoken numbers are not divided."""
        first, last = (bisect_right(self._starts, position) - 1 for position in (start, end - 1))
        (begin, _), (stop_from, stop) = self._spans[first], self._spans[last]
        if first not in self._spoken:
            begin += start - self._starts[first]
        if last not in self._spoken:
            stop = stop_from + end - self._starts[last]
        return begin, stop


def edits(text: str, language: str | None, kinds: Collection[str], terms: tuple[str, ...] = ()) -> list[Edit]:
    """Replaces data of these kinds, and these terms, with its label.

    Numbers that are spoken as words are found in the languages of `numerals`, those in digits in all languages.
    """
    found: list[Edit] = []
    taken = bytearray(len(text))
    if terms:
        found += _taken(text, places_of_terms(text, terms), TERM_LABEL, taken)
    spelled = _Spelled(text, numerals.spoken(text, language, alone_above=0) if set(kinds) - {Redaction.NUMBERS} else [])
    shown = spelled.text
    for kind, label in LABELS.items():
        if kind not in kinds:
            continue
        if kind is Redaction.NUMBERS:
            spelled = _Spelled(text, numerals.spoken(text, language))
            shown = spelled.text
        spans = list(_found(shown, kind, language))
        found += _taken(text, (spelled.original(*span) for span in spans), label, taken)
        for start, end in spans:
            shown = shown[:start] + TAKEN * (end - start) + shown[end:]
    return sorted(found, key=lambda edit: edit.start)


def _taken(text: str, spans: Iterable[tuple[int, int]], label: str, taken: bytearray) -> Iterator[Edit]:
    """Labels the free part of each span and marks it as taken. `taken`: a byte for each character of the text.

    Spaces and marks beside what is already taken stay.
    """
    for start, end in spans:
        at = start
        while (free := taken.find(0, at, end)) >= 0:
            at = taken.find(1, free, end)
            at = end if at < 0 else at
            taken[free:at] = bytes([1]) * (at - free)
            part = text[free:at]
            if (free, at) == (start, end):
                yield Edit(free, at, label)
            elif inner := _INNER.search(part):
                yield Edit(free + inner.start(), free + inner.end(), label)


def _found(text: str, kind: Redaction, language: str | None) -> Iterator[tuple[int, int]]:
    match kind:
        case Redaction.EMAILS:
            yield from (found.span() for found in _email(language).finditer(text))
        case Redaction.IBANS:
            yield from _ibans(text)
        case Redaction.NUMBERS:
            yield from (found.span() for found in _NUMBER.finditer(text))
        case _:
            yield from _digit_runs(text, kind)


@cache
def _email(language: str | None) -> re.Pattern[str]:
    """Written or spoken: "jane.doe@example.com", "jane dot doe at example dot com"."""
    at, dot = _SPOKEN_MARKS.get(language or "", ("at|arroba|arobase", "dot|punkt|punto"))
    word = rf"(?!(?:{at}|{dot}|{_JOINTS})\s(?!@))"
    at, dot = rf"(?:\s?@\s?|,?\s(?:{at})\s)", rf"(?:\.|,?\s(?:{dot})\s)"
    between = rf"(?:{dot}|,?\s(?:{_JOINTS})\s)"
    name = rf"(?:\w\s{word})*+[\w+'’-]{{1,64}}+(?:\s\d+){{0,3}}"
    begin, host = r"(?<![\w+'’-])", r"[\w-]{1,64}+"
    return re.compile(
        rf"{begin}(?<!{begin}\w\s){word}{name}(?:{between}{word}{name}){{0,5}}{at}"
        rf"{host}(?:{between}{host}){{0,5}}(?:{dot}{host}){{1,5}}",
        re.IGNORECASE,
    )


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    """Limited to the length of the country's IBANs, since other digits may follow. Sentences have fewer digits."""
    end = 0
    for found in _IBAN.finditer(text):
        places = [place for place in range(*found.span(1)) if text[place].isalnum()]
        length = IBAN_CHARS.get("".join(text[place] for place in places[:2]).upper().replace("0", "O"), len(places))
        if found.start() >= end and 2 * _digits(found.group(1)) >= len(places):
            end = places[:length][-1] + 1
            yield found.start(), end


def _digit_runs(text: str, kind: Redaction) -> Iterator[tuple[int, int]]:
    """Runs of digits whose number fits the kind.

    A longer run may contain one: it is split at its commas, and redacted as a whole if no part fits.
    """
    allowed = CARD_DIGITS if kind is Redaction.CARDS else PHONE_DIGITS
    for found in _DIGITS.finditer(text):
        is_long = _digits(found.group()) > allowed[-1]
        parts = [found.span()]
        if is_long:
            pieces = _BETWEEN_COMMAS.finditer(found.group())
            parts = [(found.start() + piece.start(), found.start() + piece.end()) for piece in pieces]
        fitting = [part for part in parts if _fits(text[slice(*part)], kind, allowed)]
        is_whole = is_long and not fitting and not _is_quantity(found.group())
        yield from [found.span()] if is_whole else fitting


def _fits(run: str, kind: Redaction, allowed: range) -> bool:
    if kind is Redaction.CARDS and run.startswith(("+", "(+", "00")):
        return False
    return _digits(run) in allowed and not _is_quantity(run)


def _digits(run: str) -> int:
    return sum(character.isdigit() for character in run) + sum(1 if once else 2 for once in _REPEATED.findall(run))


def _is_quantity(run: str) -> bool:
    """Whether digits are one large number, or a list of years."""
    years = re.findall(r"\d+", run)
    return bool(_THOUSANDS.fullmatch(run)) or all(len(year) == 4 and int(year) in YEARS for year in years)


def places_of_terms(text: str, terms: tuple[str, ...]) -> list[tuple[int, int]]:
    """Start and end of each of the terms in the text. There must be terms."""
    return [one.span() for one in _terms(terms).finditer(text)]


@lru_cache(maxsize=64)
def _terms(terms: tuple[str, ...]) -> re.Pattern[str]:
    """Whole words, regardless of case and of the spaces between them."""
    ordered = sorted(terms, key=len, reverse=True)
    return re.compile("|".join(_term(term) for term in ordered), re.IGNORECASE)


def _term(term: str) -> str:
    """Apostrophes may be of any kind, and accents characters of their own."""
    words = ["".join(_character(one) for one in unicodedata.normalize("NFC", word)) for word in term.split()]
    starts = f"(?<!{_SPACED})" if re.match(_SPACED, term) else ""
    ends = f"(?!{_SPACED})" if re.match(_SPACED, term[-1]) else ""
    return starts + r"[\s-]+".join(words) + ends


def _character(one: str) -> str:
    if one in _APOSTROPHES:
        return f"[{_APOSTROPHES}]"
    apart = unicodedata.normalize("NFD", one)
    return re.escape(one) if apart == one else f"(?:{re.escape(one)}|{re.escape(apart)})"
