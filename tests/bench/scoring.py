"""Texts as the tokens that are compared, so that only what was said counts: no case, marks, hyphens or spellings.

English numbers become their digits, one token each: "twenty one", "21" and "2-1" are alike, and so are "nine oh two one
oh" and "90210". Knows no audio.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.numerals import numeral

BY_CHARACTER = frozenset({"ja", "zh", "ko", "yue"})
"""Languages that are compared character by character, since their words are not spaced, or spaced freely."""
ORDINALS = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
ZERO_LETTERS = frozenset({"o", "oh"})
"""How a zero is often read, after another number."""
HAN_DIGITS = {character: str(value) for value, character in enumerate("〇一二三四五六七八九十")}
AMERICAN = {
    "center": "centre", "color": "colour", "colors": "colours", "defense": "defence", "favor": "favour",
    "favorite": "favourite", "flavor": "flavour", "fulfill": "fulfil", "gray": "grey", "harbor": "harbour",
    "honor": "honour", "humor": "humour", "labor": "labour", "neighbor": "neighbour", "neighbors": "neighbours",
    "organize": "organise", "organized": "organised", "plow": "plough", "realize": "realise", "realized": "realised",
    "recognize": "recognise", "recognized": "recognised", "rumor": "rumour", "skillful": "skilful",
    "theater": "theatre", "traveler": "traveller", "traveling": "travelling", "vigor": "vigour",
}  # fmt: skip
SPELLINGS = AMERICAN | {
    "%": "per cent", "&": "and", "dr": "doctor", "mr": "mister", "mrs": "missus", "okay": "ok", "percent": "per cent",
    "secondhand": "second hand",
}  # fmt: skip
_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(st|nd|rd|th)?")


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    end: int
    """Where the word that it comes from ends in the text, in characters."""


def normalised(text: str, language: str = "en") -> list[str]:
    """The tokens of a text: words, or characters where `language` is written without spaces."""
    return [token.text for token in tokens(text, language)]


def tokens(text: str, language: str = "en") -> list[Token]:
    """Like `normalised`, with where each token ends in the text."""
    if language in BY_CHARACTER:
        return [
            Token(character, index + 1)
            for index, written in enumerate(text)
            for character in _plain("".join(HAN_DIGITS.get(one, one) for one in _plain(written)))
            if character.isalnum()
        ]
    words = _words(text)
    if language == "en":
        words = _with_digits([Token(one, word.end) for word in words for one in _spelled(word.text)])
    return [Token(one, word.end) for word in words for one in (word.text if word.text.isdigit() else [word.text])]


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """The fewest insertions, deletions and substitutions between both."""
    row = list(range(len(hypothesis) + 1))
    for index, wanted in enumerate(reference, 1):
        diagonal, row[0] = row[0], index
        for column, found in enumerate(hypothesis, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (wanted != found))
    return row[-1]


def word_error_rate(sentences: Sequence[str], text: str) -> float:
    reference = normalised(" ".join(sentences))
    return edits(reference, normalised(text)) / len(reference)


def plain_words(text: str, language: str = "en") -> list[str]:
    """What a reader sees as words, without case and marks; numbers stay as they are written."""
    return normalised(text, language) if language in BY_CHARACTER else [word.text for word in _words(text)]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _spelled(word: str) -> list[str]:
    return SPELLINGS.get(word, word).split()


def _words(text: str) -> list[Token]:
    """Runs of letters without their apostrophes, and runs of digits."""
    words: list[Token] = []
    position = 0
    while position < len(text):
        number = _NUMBER.match(text, position)
        end = number.end() if number else _word_end(text, position)
        if number:
            words.append(Token(_written(number), end))
        elif end > position:
            words.append(Token("".join(one for one in _plain(text[position:end]) if one not in "'’"), end))
        elif text[position] in "%&":
            words.append(Token(text[position], position + 1))
        elif text[position] == "." and text[position - 1 : position].isdigit() and text[position + 1 :][:1].isdigit():
            words.append(Token("point", position + 1))
        position = max(end, position + 1)
    return words


def _written(number: re.Match[str]) -> str:
    digits, ordinal = number.group(1).replace(",", ""), number.group(2)
    if ordinal and int(digits) < len(ORDINALS):
        return ORDINALS[int(digits)]
    return "".join(str(int(digit)) for digit in digits) + (ordinal or "")


def _word_end(text: str, start: int) -> int:
    end = start
    while end < len(text) and (_is_letter(text[end]) or (end > start and _is_apostrophe(text, end))):
        end += 1
    return end


def _is_letter(character: str) -> bool:
    """Vowel signs of Indic scripts are marks, not letters, for Python."""
    return unicodedata.category(character)[0] in "LM"


def _is_apostrophe(text: str, index: int) -> bool:
    return text[index] in "'’" and index + 1 < len(text) and _is_letter(text[index + 1])


def _with_digits(words: Sequence[Token]) -> list[Token]:
    """The words with each number as one run of digits."""
    texts = [word.text for word in words]
    found: list[Token] = []
    start = 0
    while start < len(words):
        digits, end = numeral(texts, start)
        if not digits and found and found[-1].text.isdigit() and texts[start] in ZERO_LETTERS:
            digits, end = "0", start + 1
        found.append(Token(digits, words[end - 1].end) if digits else words[start])
        start = max(end, start + 1)
    return found
