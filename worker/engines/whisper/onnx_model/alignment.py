"""When each token was spoken, by the attention of a model to its audio. Pure.

The method is that of `find_alignment` in OpenAI's `whisper/timing.py`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FILTER_WIDTH: Final = 7
"""Positions of the median filter."""
SMALLEST_DEVIATION: Final = 1e-10
"""For positions that no token attends to."""


def token_positions(scores: NDArray[np.float32], first: int) -> list[int]:
    """The position where the best path reaches each token.

    `scores` `[heads, tokens, positions]`: those of the attention, before its softmax. The path begins with the `first`
    token.
    """
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    deviations = np.maximum(weights.std(axis=1, keepdims=True), SMALLEST_DEVIATION)
    weights = (weights - weights.mean(axis=1, keepdims=True)) / deviations
    return first_positions(-median_filtered(weights).mean(axis=0)[first:])


def median_filtered(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis, which is mirrored at its ends."""
    half = FILTER_WIDTH // 2
    if values.shape[-1] <= half:
        return values
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(half, half)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, FILTER_WIDTH, axis=-1)
    return np.partition(windows, half, axis=-1)[..., half]


def first_positions(costs: NDArray[np.float32]) -> list[int]:
    """Where the cheapest path through `costs` `[tokens, positions]` reaches each token: dynamic time warping.

    The path begins with the first token and position, ends with the last ones, and advances by one token, one position
    or both. A token's costs up to a position are a difference of two sums, so a whole row is a running minimum.
    """
    reached = np.full(costs.shape[1], np.inf)
    reached[0] = 0.0
    entries: list[NDArray[np.int64]] = []
    totals: list[NDArray[np.float64]] = []
    for row in costs.astype(np.float64):
        sums = np.cumsum(row)
        starts = reached - (sums - row)
        least = np.minimum.accumulate(starts)
        entries.append(np.maximum.accumulate(np.where(starts == least, np.arange(len(row)), 0)))
        totals.append(sums + least)
        reached = np.minimum(totals[-1], np.concatenate(([np.inf], totals[-1][:-1])))
    positions = []
    at = costs.shape[1] - 1
    for index in reversed(range(len(entries))):
        at = int(entries[index][at])
        positions.append(at)
        if index and at and totals[index - 1][at - 1] <= totals[index - 1][at]:
            at -= 1
    return positions[::-1]
