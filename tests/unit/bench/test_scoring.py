"""What counts as the same text when word error rates are computed."""

import pytest

from tests.bench.scoring import edits, normalised, plain_words, tokens, word_error_rate


@pytest.mark.parametrize(
    ("written", "otherwise"),
    [
        ("One zero zero one.", "1001"),
        ("Nine oh two one oh.", "90210"),
        ("nine o two one o", "9-0-2-1-0"),
        ("1-0-0-0-1", "10001"),
        ("Zero one eight zero three", "01803"),
        ("twenty-one trains", "21 trains"),
        ("nineteen ninety five", "1995"),
        ("ten, twenty", "10 20"),
        ("one hundred and three", "103"),
        ("six hundred thousand", "600,000"),
        ("six hundred thousand", "600 thousand"),
        ("two million three hundred thousand and five", "2,300,005"),
        ("a 12% chance", "a twelve per cent chance"),
        ("three point five", "3.5"),
        ("the third man", "the 3rd man"),
        ("Mr. Gray, a favorite theater", "mister grey a favourite theatre"),
        ("second-hand", "secondhand"),
        ("don't", "don’t"),
        ("6 times 10 equals 60", "Six times ten equals sixty."),
    ],
)
def test_spellings_of_the_same_words_are_equal(written: str, otherwise: str) -> None:
    assert normalised(written) == normalised(otherwise)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one and three", ["1", "and", "3"]),
        ("one hundred and one and two", ["1", "0", "1", "and", "2"]),
        ("Oh, one day!", ["oh", "1", "day"]),
        ("hundred", ["hundred"]),
        ("thousands and zero", ["thousands", "and", "0"]),
        ("1000", ["1", "0", "0", "0"]),
        ("twenty zero", ["2", "0", "0"]),
        ("2 100", ["2", "1", "0", "0"]),
        ("'quoted' words -- apart", ["quoted", "words", "apart"]),
        ("...", []),
        ("", []),
    ],
)
def test_tokens_of_english(text: str, expected: list[str]) -> None:
    assert normalised(text) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("一二三、ABC。", "ja", ["1", "2", "3", "a", "b", "c"]),
        ("十 나라", "ko", ["1", "0", "나", "라"]),
        ("हिन्दी में", "hi", ["हिन्दी", "में"]),
        ("L'homme a 20 ans", "fr", ["lhomme", "a", "2", "0", "ans"]),
        ("one", "de", ["one"]),
    ],
)
def test_tokens_of_other_languages(text: str, language: str, expected: list[str]) -> None:
    assert normalised(text, language) == expected


def test_tokens_know_where_their_words_end() -> None:
    text = "Well, twenty one 3.5%"
    assert [(token.text, text[: token.end]) for token in tokens(text)] == [
        ("well", "Well"),
        ("2", "Well, twenty one"),
        ("1", "Well, twenty one"),
        ("3", "Well, twenty one 3"),
        ("point", "Well, twenty one 3."),
        ("5", "Well, twenty one 3.5"),
        ("per", text),
        ("cent", text),
    ]


def test_plain_words_keep_numbers_as_they_are_written() -> None:
    assert plain_words("Twenty-one, 21!") == ["twenty", "one", "21"]
    assert plain_words("二人", "zh") == ["2", "人"]


def test_edits_are_counted_once_each() -> None:
    assert edits([*"abcd"], [*"axc"]) == 2
    assert edits([], ["a"]) == 1
    assert word_error_rate(["Ten of clubs."], "10 of hearts") == 0.25
