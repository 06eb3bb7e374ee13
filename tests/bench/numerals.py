"""English number words as digits. Pure."""

from collections.abc import Sequence

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_TEN_OF = {word: 10 * value for value, word in enumerate(_TENS, 2)}
_ONE_OF = {word: value for value, word in enumerate([*_UNITS, *_TEENS])}
_HUNDRED = "hundred"
_SCALES = (("million", 1_000_000), ("thousand", 1000))


def numeral(words: Sequence[str], start: int) -> tuple[str, int]:
    """The digits of the longest number that starts there, and where it ends; "" and `start` if none does.

    "one two" is two numbers, and so is "nineteen ninety five": their digits one after the other say the same.
    """
    part, end = _below_thousand(words, start)
    if end == start:
        return "", start
    if end == start + 1 and words[start].isdigit() and _at(words, end) not in dict(_SCALES):
        return words[start], end
    total = 0
    for name, scale in _SCALES:
        if _at(words, end) == name:
            total += part * scale
            part, end = _rest(words, end + 1, scale)
    return str(total + part), end


def _below_thousand(words: Sequence[str], start: int) -> tuple[int, int]:
    if _at(words, start).isdigit():
        value, end = int(words[start]), start + 1
    else:
        value, end = _below_hundred(words, start)
    if end > start and 0 < value < 100 and _at(words, end) == _HUNDRED:
        part, end = _rest(words, end + 1, 100)
        value = 100 * value + part
    return value, end


def _rest(words: Sequence[str], start: int, below: int) -> tuple[int, int]:
    """What follows a scale, after "and" or at once; 0 if it is not part of the same number."""
    first = start + 1 if _at(words, start) == "and" else start
    small = below == 100 or _at(words, first).isdigit()
    value, end = _below_hundred(words, first) if small else _below_thousand(words, first)
    return (value, end) if end > first and 0 < value < below else (0, start)


def _below_hundred(words: Sequence[str], start: int) -> tuple[int, int]:
    word, after = _at(words, start), _at(words, start + 1)
    if word in _TEN_OF:
        unit = _ONE_OF.get(after, 0)
        return (_TEN_OF[word] + unit, start + 2) if 0 < unit < 10 else (_TEN_OF[word], start + 1)
    return (_ONE_OF[word], start + 1) if word in _ONE_OF else (0, start)


def _at(words: Sequence[str], index: int) -> str:
    return words[index] if index < len(words) else ""
