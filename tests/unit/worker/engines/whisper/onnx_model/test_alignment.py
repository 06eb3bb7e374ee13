"""Word times by dynamic time warping."""

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.engines.whisper.onnx_model.alignment import FILTER_WIDTH, first_positions, median_filtered, token_positions


def cheapest_path(costs: NDArray[np.float32]) -> list[int]:
    """The textbook's table, cell by cell."""
    tokens, positions = costs.shape
    total = np.full((tokens + 1, positions + 1), np.inf)
    total[0, 0] = 0
    for token in range(tokens):
        for position in range(positions):
            before = total[token, position], total[token, position + 1], total[token + 1, position]
            total[token + 1, position + 1] = float(costs[token, position]) + min(before)
    first = [0] * tokens
    token, position = tokens, positions
    while token and position:
        first[token - 1] = position - 1
        steps = [(token - 1, position - 1), (token - 1, position), (token, position - 1)]
        token, position = min(steps, key=lambda step: total[step])
    return first


@pytest.mark.parametrize("seed", range(20))
def test_the_path_is_the_cheapest(seed: int) -> None:
    random = np.random.default_rng(seed)
    costs = random.standard_normal((random.integers(1, 12), random.integers(1, 40))).astype(np.float32)
    assert first_positions(costs) == cheapest_path(costs)


def test_the_median_filter_mirrors_its_ends() -> None:
    values = np.random.default_rng(0).standard_normal((2, 3, 50)).astype(np.float32)
    reach = FILTER_WIDTH // 2
    mirrored = np.pad(values, ((0, 0), (0, 0), (reach, reach)), mode="reflect")
    expected = np.median(np.lib.stride_tricks.sliding_window_view(mirrored, FILTER_WIDTH, axis=-1), axis=-1)
    np.testing.assert_array_equal(median_filtered(values), expected)


def test_a_few_positions_are_not_filtered() -> None:
    values = np.ones((1, 1, FILTER_WIDTH // 2), np.float32)
    np.testing.assert_array_equal(median_filtered(values), values)


def test_position_that_no_token_attends_to_changes_nothing() -> None:
    scores = np.zeros((1, 4, 40), np.float32)
    for token in range(4):
        scores[0, token, 8 * token : 8 * token + 8] = 200
    assert token_positions(scores, first=0) == [0, 8, 16, 24]


def test_tokens_begin_where_the_attention_moves_to_them() -> None:
    starts = [0, 10, 25, 60]
    scores = np.zeros((2, 5, 100), np.float32)
    for token, (start, end) in enumerate(zip(starts, [*starts[1:], 100], strict=True)):
        scores[:, token + 1, start:end] = 8
    assert token_positions(scores, first=1) == pytest.approx(starts, abs=1)
