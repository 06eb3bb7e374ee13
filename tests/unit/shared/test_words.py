"""Which words are equal when texts are compared."""

import pytest

from shared.words import common_prefix, has_letters, normalised


@pytest.mark.parametrize(
    ("word", "same"),
    [
        (" Hello,", "hello"),
        ("don't", "DONT"),
        ("Café", "cafe\u0301"),
        ("ज़रा", "ज\u093cरा"),
        ("شكراً", "شكرا"),
        ("שָׁלוֹם", "שלום"),
        (" – ", "–"),
        ("है।", "है"),
    ],
)
def test_case_punctuation_and_optional_points_do_not_count(word: str, same: str) -> None:
    assert normalised(word) == normalised(same)


@pytest.mark.parametrize(
    "words",
    [
        ["की", "के", "का", "कि", "क"],
        ["กี", "กู", "ก"],
        ["មី", "មុ"],
        ["மீ", "மே", "ம"],
        ["été", "ete"],
        ["–", "?"],
        ["❤️", "☀️"],
    ],
)
def test_different_words_are_not_equal(words: list[str]) -> None:
    assert len({normalised(word) for word in words}) == len(words)


def test_common_prefix_counts_the_first_equal_words() -> None:
    assert common_prefix(["a", "b", "c"], ["a", "b", "d", "c"]) == 2
    assert common_prefix(["a"], ["a", "b"]) == 1
    assert common_prefix([], ["a"]) == 0


def test_vowel_signs_are_no_punctuation() -> None:
    assert has_letters("\u0e35")
    assert not has_letters(" …_")
