"""Where the words of a text are in it. Pure.

The words of a model are usually those that its text is split into at white space, but not in scripts without spaces,
nor if the text was changed later.
"""

from collections.abc import Iterable
from itertools import pairwise


def places_of(text: str, words: Iterable[str]) -> list[range]:
    """Where each word is in the text, after the word before it. A word that is not there has an empty place."""
    places: list[range] = []
    end = 0
    for word in words:
        start = text.find(word, end)
        places.append(range(end, end) if start < 0 else range(start, start + len(word)))
        end = places[-1].stop
    return places


def spelled_words(text: str, words: Iterable[str]) -> list[str]:
    """Each word with the text between it and the word before it. Empty for a word that is not there."""
    ends = [place.stop for place in places_of(text, words)]
    return [text[start:end] for start, end in pairwise([0, *ends])]
