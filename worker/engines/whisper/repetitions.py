"""Phrases that are said several times in a row: decoders miscount them, and aligners confuse them. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from worker.engines.whisper.guards import LONGEST_REPEATED_WORDS
from worker.engines.whisper.words import HeardWord, normalised_texts

REPEATED_WORDS = 3
"""If a word is said this many times in a row, its count is known when the segment ends."""


def repetition(words: Sequence[HeardWord]) -> tuple[int, int]:
    """The words of the shortest phrase that is repeated at the end, and how many times in a row it is said there.

    If none is, all words once.
    """
    texts = normalised_texts(words)[::-1]
    for length in range(1, min(LONGEST_REPEATED_WORDS, len(texts) // 2) + 1):
        if (times := times_in_a_row(texts, length)) > 1:
            return length, times
    return len(texts), 1


def times_in_a_row(texts: Sequence[str], length: int) -> int:
    """How many times in a row the first `length` texts are said at the beginning."""
    times = 1
    while texts[length * times : length * (times + 1)] == texts[:length]:
        times += 1
    return times


def goes_on_repeating(words: Sequence[HeardWord], settled: Sequence[HeardWord]) -> bool:
    """Whether words only repeat, twice or more often, the phrase at the end of the settled words."""
    length, times = repetition(words)
    whole = times > 1 and length * times == len(words)
    return whole and normalised_texts(settled[-length:]) == normalised_texts(words[:length])


def repeated_word_start(words: Sequence[HeardWord]) -> int:
    """The index of the first word that is said `REPEATED_WORDS` times in a row; the number of words if none is."""
    texts = normalised_texts(words)
    for index in range(len(texts) - REPEATED_WORDS + 1):
        if len(set(texts[index : index + REPEATED_WORDS])) == 1:
            return index
    return len(texts)


def recounted(doubted: Sequence[HeardWord], alone: Sequence[HeardWord]) -> tuple[HeardWord, ...]:
    """Repetitions of one phrase, as often as another answer says it; all of them if that has other words."""
    phrase = normalised_texts(doubted[-repetition(doubted)[0] :])
    times = len(alone) // len(phrase)
    if not alone or len(alone) == len(doubted) or normalised_texts(alone) != phrase * times:
        return tuple(doubted)
    if len(alone) > len(doubted):
        return tuple(alone)
    return tuple(
        replace(word, start_samples=one.start_samples, end_samples=one.end_samples)
        for word, one in zip(doubted[-len(alone) :], alone, strict=True)
    )
