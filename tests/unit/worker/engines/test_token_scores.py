"""The confidence of words, from the probabilities of their tokens."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.token_scores import ScoredPiece, scores_of, word_confidences


def pieces(*parts: tuple[str, float]) -> list[ScoredPiece]:
    return [ScoredPiece(text, log(probability)) for text, probability in parts]


def confidences(*parts: tuple[str, float]) -> list[float]:
    return [round(one, 4) for one in word_confidences(pieces(*parts))]


def test_word_is_as_likely_as_its_tokens_together() -> None:
    assert confidences((" An", 0.5), ("other", 0.5), (" one", 0.9)) == [0.25, 0.9]


def test_punctuation_counts_only_alone() -> None:
    assert confidences(("Yes", 0.9), ("!", 0.1), (" …", 0.3)) == [0.9, 0.3]


def test_vowel_signs_are_no_punctuation() -> None:
    assert confidences((" क", 0.9), ("\u0940", 0.5)) == [0.45]


def test_token_of_half_a_character_belongs_to_the_character() -> None:
    assert confidences((" a", 0.9), ("", 0.5), (" é", 0.5), (" b", 0.8)) == [0.9, 0.25, 0.8]


def test_scores_are_means() -> None:
    scores = scores_of(pieces((" a", 0.5), (" b", 0.25)), [0.5, 0.25])
    assert scores is not None
    assert scores.confidence == 0.375
    assert scores.avg_logprob == pytest.approx(log(0.125) / 2)
    assert scores_of([], []) is None


@given(st.lists(st.tuples(st.text(" ab.é", max_size=4), st.floats(0.01, 1)), max_size=12))
def test_each_word_has_a_probability(parts: list[tuple[str, float]]) -> None:
    found = word_confidences(pieces(*parts))
    assert len(found) == len("".join(text for text, _ in parts).split())
    assert all(0 < one <= 1 for one in found)


def test_time_for_a_long_answer_does_not_grow_with_its_square() -> None:
    """With the square, it would exceed the time of a test."""
    assert confidences(*[(" ab", 0.5), ("c", 0.5)] * 50_000) == [0.25] * 50_000
