"""Which words of a decoded text may be key terms that the model has misspelled. Pure.

A term is proposed for a few successive words that sound like it. Whether the audio supports it is decided by the model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.continuation import words_of
from shared.seams import UNSPACED
from shared.session_options import DEFAULT_BOOST, KeyTerm
from worker.engines.keyterms.likeness import bounds, letters, similarities, sound_key

MAX_WORDS: Final = 4
"""A model may write one name as so many words."""
MAX_BLOCK_WORDS: Final = 5
SENTENCE_MARKS: Final = (".", "?", "!", "。", "？", "！")
NATS_PER_LETTER: Final = 0.6
"""What a term gains at `DEFAULT_BOOST`, for each of its letters: a short term needs clearer audio."""
MAX_GAINING_LETTERS: Final = 10
"""More letters gain no more, so that the gain is bounded."""
MAX_COMPARED: Final = 5000
"""Pairs of a term and a place in the text, the likest first: comparing all of 200 long terms would take seconds."""
_UNSPACED: Final = re.compile(f"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class Written:
    """A word as it was decoded."""

    text: str
    """With the space before it, without the mark after it."""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A key term in the place of some words."""

    start: int
    stop: int
    text: str
    """With the space that the first of the words has."""
    bonus: float
    """By how much the proposal may be less likely than the words, as a difference of natural logarithms."""
    likeness: float

    def overlaps(self, other: "Proposal") -> bool:
        return self.start < other.stop and other.start < self.stop


class SpokenTerms:
    """The key terms of a session."""

    def __init__(self, terms: tuple[KeyTerm, ...]) -> None:
        self.terms = [one for one in terms if one.boost > 0 and letters(one.term)]
        self._letters = [letters(one.term) for one in self.terms]
        self._keys = [sound_key(one.term) for one in self.terms]
        longest = max((len(words_of(one.term)) for one in self.terms), default=0)
        self._most_words = max(MAX_WORDS, longest + 1)
        """That may be a term together: in scripts without spaces, a word is a character."""

    def compared(self, words: Sequence[Written], least: float) -> "Compared":
        """The words of a text with the terms; likenesses (0 to 1) below `least` may count as 0."""
        spans = self._spans(words)
        texts = ["".join(word.text for word in words[start:stop]) for start, stop in spans]
        return Compared(self, spans, texts, self._likeness(texts, least))

    def bonus(self, index: int) -> float:
        """By how much a proposal of a term may be less likely than the words."""
        scale = self.terms[index].boost / DEFAULT_BOOST
        return scale * NATS_PER_LETTER * min(len(self._letters[index]), MAX_GAINING_LETTERS)

    def differences(self, words: Sequence[Written], others: Sequence[Written]) -> list[Proposal]:
        """What another decode of the same audio has instead of some words, if that contains a term."""
        matcher = SequenceMatcher(None, _plain(words), _plain(others), autojunk=False)
        found = []
        for kind, start, stop, first, last in matcher.get_opcodes():
            if kind != "replace" or max(stop - start, last - first) > max(MAX_BLOCK_WORDS, self._most_words):
                continue
            before = letters("".join(word.text for word in words[start:stop]))
            for index, one in enumerate(self._letters):
                place = None if one in before else _place(others[first:last], one)
                if place and start + place[0] < stop - place[1]:
                    text = _in_place(self.terms[index].term, words[start + place[0]].text)
                    found.append(Proposal(start + place[0], stop - place[1], text, self.bonus(index), 0.0))
        return found

    def _spans(self, words: Sequence[Written]) -> list[tuple[int, int]]:
        """Successive words of one sentence, without those that are terms already."""
        kept = self._kept(words)
        spans = []
        for start in range(len(words)):
            for stop in range(start + 1, min(start + self._most_words, len(words)) + 1):
                if kept[stop - 1] or (stop - start > 1 and words[stop - 2].mark.startswith(SENTENCE_MARKS)):
                    break
                spans.append((start, stop))
        return spans

    def _kept(self, words: Sequence[Written]) -> NDArray[np.bool_]:
        """Which words are part of a term as the client writes it, between the edges of words."""
        kept = np.zeros(len(words), np.bool_)
        text = "".join(word.text for word in words)
        places = [place for place, word in enumerate(words) for _ in word.text]
        ends = list(accumulate(len(word.text) for word in words))
        starts = [end - len(word.text.lstrip()) for end, word in zip(ends, words, strict=True)]
        for one in self.terms:
            for found in re.finditer(re.escape(one.term), text):
                begins = found.start() in starts or _UNSPACED.match(one.term[0])
                if begins and (found.end() in ends or _UNSPACED.match(one.term[-1])):
                    kept[places[found.start()] : places[found.end() - 1] + 1] = True
        return kept

    def _likeness(self, texts: Sequence[str], least: float) -> NDArray[np.float64]:
        """`[texts, terms]`, 0 to 1: by sound and by letters in equal parts. Less than `least` may be 0."""
        if not texts or not self.terms:
            return np.zeros((len(texts), len(self.terms)))
        sounds, spelled = [sound_key(text) for text in texts], [letters(text) for text in texts]
        most = (bounds(sounds, self._keys) + bounds(spelled, self._letters)) / 2
        near = np.flatnonzero(most >= least)
        near = near[np.argsort(-most.flat[near], kind="stable")[:MAX_COMPARED]]
        pairs = np.stack(np.unravel_index(near, most.shape))
        by_sound, by_letters = similarities(sounds, self._keys, pairs), similarities(spelled, self._letters, pairs)
        found = np.zeros(most.shape)
        found.flat[near] = (by_sound + by_letters) / 2
        return found


@dataclass(frozen=True, slots=True)
class Compared:
    """How like successive words of a text are to each of the terms."""

    spoken: SpokenTerms
    spans: Sequence[tuple[int, int]]
    texts: Sequence[str]
    """Those of the spans."""
    likeness: NDArray[np.float64]
    """`[spans, terms]`, 0 to 1."""

    def proposals(self, *, likeness: float, most: int) -> list[Proposal]:
        """At most so many, the likest first, each at least so like to its words (0 to 1)."""
        found = []
        for span, index in zip(*np.nonzero(self.likeness >= likeness), strict=True):
            start, stop = self.spans[span]
            text = _in_place(self.spoken.terms[index].term, self.texts[span])
            if text != self.texts[span]:
                found.append(Proposal(start, stop, text, self.spoken.bonus(index), float(self.likeness[span, index])))
        return sorted(found, key=lambda one: -one.likeness)[:most]

    def likely(self, *, likeness: float, most: int) -> list[str]:
        """The terms that the text may contain, the likest first."""
        best = self.likeness.max(axis=0, initial=0.0)
        order = np.argsort(-best, kind="stable")[:most]
        return [self.spoken.terms[index].term for index in order if best[index] >= likeness]


@lru_cache(maxsize=64)
def spoken_terms(terms: tuple[KeyTerm, ...]) -> SpokenTerms:
    """Sessions with the same terms share them."""
    return SpokenTerms(terms)


def _in_place(term: str, before: str) -> str:
    """The term with the space, and the English possessive, of the text that it replaces."""
    ending = next((one for one in ("'s", "’s") if before.endswith(one) and not term.endswith(one)), "")
    return (" " if before.startswith(" ") else "") + term + ending


def _place(words: Sequence[Written], wanted: str) -> tuple[int, int] | None:
    """How many words are before and after the successive ones that have these letters."""
    plain = _plain(words)
    for start in range(len(plain)):
        for stop in range(start + 1, len(plain) + 1):
            if "".join(plain[start:stop]) == wanted:
                return start, len(plain) - stop
    return None


def _plain(words: Sequence[Written]) -> list[str]:
    return [letters(word.text) for word in words]
