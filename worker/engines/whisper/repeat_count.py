"""Counts in the audio how often a phrase is said in a row, which decoders only guess. Pure.

Repeated speech is like itself one repetition later, so its spectrogram is compared with itself.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from worker.engines.whisper.guards import LONGEST_REPEATED_WORDS
from worker.engines.whisper.repetitions import REPEATED_WORDS, times_in_a_row
from worker.engines.whisper.words import HeardWord, normalised_texts

SAMPLES_PER_FRAME = 160
DB_PER_UNIT = 40
"""Whisper's features are logarithms of powers to base 10, divided by 4."""
SOUND_DB = 35
"""Frames that are quieter than this below the loudest one are silent."""
PAUSE_FRAMES = 8
"""A shorter silence may be a part of a word: the closure of a "t" takes 50 ms."""
EDGE_FRAMES = 30
"""The times of words may be wrong by this much."""
MOST_TIMES = 1.6
"""How much larger the count may be than the text's, or smaller."""
SHORTEST_FRAMES = 12
"""Of a repetition."""
LEAST_LIKENESS = 0.5
"""The correlation of the spectrogram with itself: below it, repetitions differ too much to be counted."""
SAME_LIKENESS = 0.8
"""Two repetitions may be a little more like the next two than one like the next: this share of it is enough."""

Features = NDArray[np.float32]


def counted(words: Sequence[HeardWord], features: Features, *, has_context: bool) -> tuple[HeardWord, ...]:
    """The words, with each phrase that is repeated between two pauses as often as the audio has it.

    `features`: Whisper's, `[mels, frames]`. `has_context`: whether other words are in the audio before these.
    """
    texts = [text.strip("-") for text in normalised_texts(words)]
    found: list[HeardWord] = []
    at = 0
    while at < len(words):
        length, times = _repetition(texts[at:])
        stop = at + length * times
        repeated = words[at:stop]
        if times > 1:
            place = _place(features, repeated, is_first=at == 0 and not has_context, is_last=stop == len(words))
            repeated = _said(repeated, times, place, _count(features[:, place.start : place.stop], times))
        found += repeated
        at = stop
    return tuple(found)


def _repetition(texts: Sequence[str]) -> tuple[int, int]:
    """The length of the phrase that is repeated at the beginning, and how often it is said; 1 and 1 if none is."""
    for length in range(1, min(LONGEST_REPEATED_WORDS, len(texts) // REPEATED_WORDS) + 1):
        if (times := times_in_a_row(texts, length)) >= REPEATED_WORDS:
            return length, times
    return 1, 1


def _place(features: Features, repeated: Sequence[HeardWord], *, is_first: bool, is_last: bool) -> range:
    """The frames with the sound of these words; empty if no pause separates them from other words."""
    begin, end = repeated[0].start_samples // SAMPLES_PER_FRAME, repeated[-1].end_samples // SAMPLES_PER_FRAME
    pauses, sounds = _parts(features)
    before = [one.stop for one in pauses if begin - EDGE_FRAMES < one.stop and one.start < begin + EDGE_FRAMES]
    after = [one.start for one in pauses if end - EDGE_FRAMES < one.stop and one.start < end + EDGE_FRAMES]
    if not (before or is_first) or not (after or is_last):
        return range(0)
    first = 0 if is_first else min(before, key=lambda frame: abs(frame - begin))
    last = features.shape[1] if is_last else min(after, key=lambda frame: abs(frame - end))
    inside = [one for one in sounds if first <= one.start and one.stop <= last]
    return range(inside[0].start, inside[-1].stop) if inside else range(0)


def _parts(features: Features) -> tuple[list[range], list[range]]:
    """The pauses, and the sounds between them. The rest of a word at the edge of the audio is neither."""
    level_db = 10 * np.log10(np.power(10.0, features * (DB_PER_UNIT / 10)).sum(axis=0))
    changes = np.flatnonzero(np.diff(level_db > level_db.max() - SOUND_DB, prepend=True, append=True))
    pauses = [range(start, stop) for start, stop in changes.reshape(-1, 2) if stop - start >= PAUSE_FRAMES]
    edges = [0, *(edge for one in pauses for edge in (one.start, one.stop)), features.shape[1]]
    sounds = [range(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
    return pauses, [one for one in sounds if len(one) >= SHORTEST_FRAMES]


def _count(sound: Features, heard: int) -> int:
    """How many times in a row something is said in this sound; `heard` if that is not clear."""
    frames = sound.shape[1]
    if not frames:
        return heard
    longest = int(min(frames / 2, 2 * MOST_TIMES * frames / heard))  # beyond it, the count differs too much
    likeness = _likeness(sound, range(SHORTEST_FRAMES, longest + 1))
    peaks = [one for one in likeness if likeness[one] >= max(likeness.get(one - 1, 1), likeness.get(one + 1, 1))]
    best = max((likeness[one] for one in peaks), default=0.0)
    if best < LEAST_LIKENESS:
        return heard
    period = next(one for one in peaks if likeness[one] >= SAME_LIKENESS * best)
    silent = sum(map(len, _parts(sound)[0]))  # shared by all pauses between the repetitions; none follows the last one
    possible = range(2, int(heard * MOST_TIMES) + 2)
    times = min(possible, key=lambda count: abs(count * period - silent / (count - 1) - frames))
    return times if heard / MOST_TIMES <= times <= heard * MOST_TIMES else heard


def _likeness(sound: Features, periods: range) -> dict[int, float]:
    """The correlations of the sound with itself, shifted by each of these numbers of frames."""
    floored = np.maximum(sound, sound.max() - SOUND_DB / DB_PER_UNIT)
    changes = np.ascontiguousarray((floored - floored.mean(axis=1, keepdims=True)).T)
    power = np.cumsum((changes**2).sum(axis=1))
    found = {}
    for period in periods:
        scale = np.sqrt(power[-period - 1] * (power[-1] - power[period - 1]))
        found[period] = float(np.vdot(changes[:-period], changes[period:]) / scale) if scale > 0 else 0.0
    return found


def _said(repeated: Sequence[HeardWord], heard: int, place: range, times: int) -> Sequence[HeardWord]:
    """Words of a phrase that is repeated `heard` times, as if it were repeated `times`."""
    if times == heard:
        return repeated
    length = len(repeated) // heard
    phrases = [repeated[at : at + length] for at in range(0, len(repeated), length)]
    middle = phrases[1:-1] * times
    said = [word for phrase in (phrases[0], *middle[: times - 2], phrases[-1]) for word in phrase]
    start, step = place.start * SAMPLES_PER_FRAME, len(place) * SAMPLES_PER_FRAME / len(said)
    edges = [start + round(step * index) for index in range(len(said) + 1)]
    placed = zip(said, pairwise(edges), strict=True)
    return [replace(word, start_samples=begin, end_samples=end) for word, (begin, end) in placed]
