"""Text that is appended to what was passed on, so that the whole comes nearest to another text."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.continuation import continuation

WORDS = st.sampled_from(["the", "morning", "Train", "leaves,", "at", "seven.", "a", "an"])
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)
ANY_TEXT = st.text(max_size=40)


def errors(text: str, reference: str) -> int:
    """Word errors, without case and punctuation."""
    left, right = ("".join(c for c in side.casefold() if c.isalnum() or c.isspace()) for side in (text, reference))
    if not right.split():
        return len(left.split())
    counted = jiwer.process_words(right, left)
    return counted.substitutions + counted.deletions + counted.insertions


@pytest.mark.parametrize(
    ("said", "text", "rest"),
    [
        ("", "Hello.", "Hello."),
        ("Hello world", "Hello, world.", "."),
        ("the cat sad", "the cat sat on the mat", " on the mat"),
        ("the cat", "the black cat sat", " sat"),
        ("so the cat", "the cat sat", " sat"),
        ("the cat sat on", "the cat sat", ""),
        ("one two three", "four five", ""),
        ("Heaven left thr", "Seven left three open", "ee open"),
        ("Heaven left thr", "Seven left three", "ee"),
        ("今天天", "今日天气很好", "气很好"),
        ("यह की", "यह के की दुकान", " दुकान"),
        ("Hello", "", ""),
    ],
)
def test_the_rest_is_fitted_to_what_was_said(said: str, text: str, rest: str) -> None:
    assert continuation(said, text) == rest


@given(SENTENCES, SENTENCES)
def test_no_other_rest_is_nearer_to_the_text(said: str, text: str) -> None:
    words = text.split()
    least = min(errors(f"{said} {' '.join(words[count:])}", text) for count in range(len(words) + 1))
    assert errors(said + continuation(said, text), text) <= least


@given(ANY_TEXT, ANY_TEXT)
def test_the_rest_is_the_end_of_the_text(said: str, text: str) -> None:
    assert text.endswith(continuation(said, text).lstrip())
