"""Who spoke each word of a final, by the embedded windows of its audio. Pure.

The windows are grouped by similarity, whatever their order, so a final may hold several turns. A group belongs to one
speaker. A word belongs to the group whose windows cover it best.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.speakers.clusters import Speaker, Speakers
from worker.speakers.sizes import LENGTH_SAMPLES, STEP_SAMPLES

Floats = NDArray[np.float32]

FOUNDING_SAMPLES: Final = 24_000
"""Speech of at least 1.5 s makes a new speaker."""
CLEAR_SHARE: Final = 0.6
"""A word whose windows agree less is unsure: speakers overlap or change there."""
PART_WINDOWS: Final = 150
"""60 s: more windows are not grouped at once."""
REACH_SAMPLES: Final = 8_000
"""A word without a window has the speaker of the nearest one within half a second."""


@dataclass(frozen=True, slots=True)
class Embedded:
    start_samples: int
    end_samples: int
    vector: Floats

    @property
    def weight(self) -> float:
        """1 for a whole window; less for a shorter one, whose embedding is less exact."""
        return min(1.0, (self.end_samples - self.start_samples) / LENGTH_SAMPLES)


@dataclass(frozen=True, slots=True)
class Group:
    speaker: Speaker | None
    """The known speaker that it began with."""
    members: list[int]


def group(windows: Sequence[Embedded], speakers: Speakers) -> list[Group]:
    """Join the most similar groups until none are similar enough (average linkage).

    Windows that are certainly of a known speaker begin as one group, and groups of two speakers are never joined:
    windows across a change are similar to both, and would link them.
    """
    vectors = np.stack([one.vector for one in windows])
    seeds = [speakers.certain(vector) for vector in vectors]
    groups = [Group(speaker, [at for at, seed in enumerate(seeds) if seed is speaker]) for speaker in speakers.found]
    groups = [one for one in groups if one.members] + [Group(None, [at]) for at, one in enumerate(seeds) if one is None]
    sums = np.stack([vectors[one.members].sum(axis=0) for one in groups])
    sizes = np.array([len(one.members) for one in groups], np.float32)
    products = (sums @ sums.T) / np.outer(sizes, sizes)
    _part(products, groups)
    while len(groups) > 1:
        first, second = sorted(divmod(int(np.argmax(products)), len(groups)))
        if products[first, second] < speakers.thresholds.group:
            break
        joined = groups.pop(second)
        groups[first] = Group(groups[first].speaker or joined.speaker, groups[first].members + joined.members)
        sums[first] += sums[second]
        sizes[first] += sizes[second]
        sums, sizes = np.delete(sums, second, 0), np.delete(sizes, second)
        products = np.delete(np.delete(products, second, 0), second, 1)
        products[first, :] = products[:, first] = sums @ sums[first] / (sizes * sizes[first])
        _part(products, groups)
    return groups


def parts(windows: Sequence[Embedded]) -> Iterable[Sequence[Embedded]]:
    """The windows of a long final in parts of about equal size: the time to group windows grows with their cube."""
    count = -(-len(windows) // PART_WINDOWS)
    bounds = [len(windows) * at // count for at in range(count + 1)] if count else []
    return (windows[start:end] for start, end in pairwise(bounds))


def _part(products: Floats, groups: Sequence[Group]) -> None:
    """Groups of two speakers, and each group and itself, are never joined."""
    np.fill_diagonal(products, -np.inf)
    named = [at for at, one in enumerate(groups) if one.speaker is not None]
    products[np.ix_(named, named)] = -np.inf


def speakers_of(windows: Sequence[Embedded], speakers: Speakers, segment: int) -> list[str | None]:
    """The speaker of each window; None if unsure. Finds new speakers, and makes the known ones more exact."""
    labels: list[str | None] = [None] * len(windows)
    if not windows:
        return labels
    for one in sorted(group(windows, speakers), key=lambda one: -len(one.members)):
        chosen = [windows[at] for at in one.members]
        weights = np.array([window.weight for window in chosen], np.float32)
        mean = weights @ np.stack([window.vector for window in chosen]) / weights.sum()
        founds = covered_samples((window.start_samples, window.end_samples) for window in chosen) >= FOUNDING_SAMPLES
        if one.speaker is None:
            speaker = speakers.assign(mean, float(weights.sum()), founds=founds, segment=segment)
        else:
            speaker = speakers.confirm(one.speaker, mean, float(weights.sum()))
        for at in one.members:
            labels[at] = None if speaker is None else speaker.label
    return labels


def covered_samples(windows: Iterable[tuple[int, int]]) -> int:
    """How much audio windows cover together, by the first and last position of each."""
    total = until = 0
    for start_samples, end_samples in sorted(windows):
        total += max(0, end_samples - max(until, start_samples))
        until = max(until, end_samples)
    return total


@dataclass(frozen=True, slots=True)
class Labelling:
    """The speakers of the windows of a final, and those of the windows around it."""

    spans: tuple[tuple[int, int], ...]
    """First and last position of each window, in samples; both ascend."""
    labels: tuple[str | None, ...]
    """Who spoke in each; None if unsure."""

    def between(self, start_samples: int, end_samples: int) -> str | None:
        """Who spoke between two positions; None if unsure."""
        middle = (start_samples + end_samples) / 2
        votes: dict[str | None, float] = {}
        for (start, end), label in self._around(middle, STEP_SAMPLES / 4):
            nearness = 1 - abs(middle - (start + end) / 2) / ((end - start) / 2 + STEP_SAMPLES / 4)
            if nearness > 0:
                votes[label] = votes.get(label, 0.0) + nearness * (end - start)
        if not votes:
            return self._nearest(middle)
        label = max(votes, key=lambda one: votes[one])
        return label if votes[label] >= CLEAR_SHARE * sum(votes.values()) else None

    def _nearest(self, middle: float) -> str | None:
        found, distance = None, float(REACH_SAMPLES)
        for (start, end), label in self._around(middle, REACH_SAMPLES):
            away = max(start - middle, middle - end, 0.0)
            if away < distance:
                found, distance = label, away
        return found

    def _around(self, middle: float, reach: float) -> Iterable[tuple[tuple[int, int], str | None]]:
        """The windows that are less than `reach` away from a position. A final may have thousands, and a word few."""
        first = bisect_right(self.spans, middle - reach, key=lambda span: span[1])
        last = bisect_left(self.spans, middle + reach, key=lambda span: span[0])
        return zip(self.spans[first:last], self.labels[first:last], strict=True)

    def renamed(self, names: dict[str, str]) -> "Labelling":
        """The same after speakers were found to be one: former label → label, which may be a former one too."""

        def name(label: str | None) -> str | None:
            while label in names:
                label = names[label]
            return label

        return Labelling(self.spans, tuple(name(label) for label in self.labels))
