"""Beam search."""

from math import inf, log

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.engines.whisper.onnx_model.beams import Beam, extended, likeliest

END = 0


def rated(*probabilities: float) -> NDArray[np.float32]:
    with np.errstate(divide="ignore"):
        return np.log(np.array(probabilities, np.float32))


def test_the_likeliest_continuations_of_all_beams_are_followed() -> None:
    beams = [Beam((7,), log(0.6)), Beam((8,), log(0.4))]
    followed, longer, over = extended(beams, [rated(0, 0.4, 0.3, 0.3), rated(0, 0.9, 0.1, 0)], 2, END)
    assert (followed, over) == ([1, 0], [])
    assert [one.said for one in longer] == [(8, 1), (7, 1)]
    assert [one.log_probability for one in longer] == pytest.approx([log(0.36), log(0.24)])


def test_an_answer_ends_and_its_place_is_taken() -> None:
    followed, longer, over = extended([Beam((7,), 0.0)], [rated(0.5, 0.3, 0.2, 0)], 2, END)
    assert [one.said for one in longer] == [(7, 1), (7, 2)]
    assert [one.said for one in over] == [(7,)]
    assert over[0].mean == pytest.approx(log(0.5))
    assert followed == [0, 0]


def test_an_unlikely_end_is_no_end() -> None:
    _, longer, over = extended([Beam((7,), 0.0)], [rated(0.1, 0.5, 0.4, 0)], 2, END)
    assert (len(longer), over) == (2, [])


def test_impossible_tokens_are_never_followed() -> None:
    _, longer, _ = extended([Beam((7,), 0.0)], [rated(0, 1, 0, 0)], 3, END)
    assert [one.said for one in longer] == [(7, 1)]


def test_the_mean_counts_all_tokens() -> None:
    assert Beam((1, 2, 3, 4), -2.0).mean == -0.5


@pytest.mark.parametrize("count", [1, 3, 9])
def test_the_largest_finite_values(count: int) -> None:
    values = np.array([0.5, -inf, 2, 1, -3], np.float32)
    before = values.copy()
    assert likeliest(values, count) == [2, 3, 0, 4][:count]
    np.testing.assert_array_equal(values, before)
