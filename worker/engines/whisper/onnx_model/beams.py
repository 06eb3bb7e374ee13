"""Beam search: several answers that are followed side by side. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Beam:
    said: tuple[int, ...]
    """With the known tokens before it."""
    log_probability: float
    """Of the new tokens together; known ones have a probability of 1."""

    @property
    def mean(self) -> float:
        return self.log_probability / len(self.said)


def extended(
    beams: Sequence[Beam], rated: Sequence[NDArray[np.float32]], count: int, end: int
) -> tuple[list[int], list[Beam], list[Beam]]:
    """The `count` likeliest answers that are one token longer, and those that end here.

    `rated`: for each beam, the logarithm of the probability of each token. The first result has the index of the beam
    that each of the likeliest answers extends. An answer ends if its end is among the `count` likeliest tokens.
    """
    candidates: list[tuple[float, int, int]] = []
    for index, (one, values) in enumerate(zip(beams, rated, strict=True)):
        tokens = likeliest(values, count + 1)
        candidates += [(one.log_probability + float(values[token]), index, token) for token in tokens]
    followed: list[int] = []
    longer: list[Beam] = []
    over: list[Beam] = []
    for rank, (score, index, token) in enumerate(sorted(candidates, key=lambda one: (-one[0], one[1:]))):
        if len(longer) == count or not np.isfinite(score):
            break
        if token != end:
            followed.append(index)
            longer.append(Beam((*beams[index].said, token), score))
        elif rank < count:
            over.append(Beam(beams[index].said, score))
    return followed, longer, over


def likeliest(values: NDArray[np.float32], count: int) -> list[int]:
    """The indices of the largest finite values. A few are found ten times as fast as by sorting a whole vocabulary."""
    left = values.copy()
    found: list[int] = []
    while len(found) < count and np.isfinite(left[token := int(left.argmax())]):
        found.append(token)
        left[token] = -np.inf
    return found
