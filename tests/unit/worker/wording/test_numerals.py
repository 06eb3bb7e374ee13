"""Spoken numbers become digits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.wording import numerals
from worker.wording.edits import applied

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.mark.parametrize(
    ("language", "said", "written"),
    [
        ("en", "I have twenty-five dogs and three hundred thousand birds.", "I have 25 dogs and 300000 birds."),
        ("en", "One of them costs three point five euros.", "One of them costs 3.5 euros."),
        ("en", "In nineteen ninety-nine, the twenty first of May.", "In 1999, the 21st of May."),
        ("en", "Rooms nineteen, twenty four.", "Rooms 19, 24."),
        ("en", "It is 25 and twenty six", "It is 25 and 26"),
        ("en", "Three of them in the eastern third.", "Three of them in the eastern third."),
        ("en", "It is oh one seven. Oh, one moment.", "It is 01 7. Oh, one moment."),
        ("en", "Nine oh two one oh!", "9 02 1 0!"),
        ("de", "Am vierten. Fünfundzwanzig.", "Am 4. 25."),
        ("fr", "J'ai quatre-vingt-dix-sept ans.", "J'ai 97 ans."),
        ("es", "Tengo treinta y cinco años.", "Tengo 35 años."),
        ("it", "Ho ventuno anni.", "Ho 21 anni."),
        ("nl", "Ik ben vijfentwintig.", "Ik ben 25."),
        ("pt", "Tenho vinte e cinco anos.", "Tenho 25 anos."),
        ("ja", "twenty five", "twenty five"),
        (None, "twenty five", "twenty five"),
    ],
)
def test_numbers_are_written_in_digits(language: str | None, said: str, written: str) -> None:
    assert applied(said, (), numerals.edits(said, language))[0] == written


@pytest.mark.parametrize(
    ("language", "said", "written"),
    [
        ("en", "between two hundred and three hundred people", "between 200 and 300 people"),
        ("en", "one hundred two hundred three hundred", "100 200 300"),
        ("en", "two hundred thousand and three hundred thousand", "200000 and 300000"),
        ("en", "twenty and five hundred", "20 and 500"),
        ("en", "one hundred and five thousand two hundred and six", "105206"),
        ("fr", "entre deux cents et trois cents, mille deux cent vingt et un", "entre 200 et 300, 1221"),
        ("es", "dos mil y tres mil, treinta y cinco mil y cuarenta y dos mil", "2000 y 3000, 35000 y 42000"),
        ("es", "mil noventa y seis y seis mil, veintiún mil y dos mil", "1096 y 6000, 21000 y 2000"),
        ("es", "dos mil tres millones", "2003000000"),
        ("fr", "soixante et quatre-vingt-dix, huit mille trente et un et cinq mille", "60 et 90, 8031 et 5000"),
        ("pt", "dois mil e três mil, oito mil e cento e vinte e dois mil", "2000 e 3000, 8000 e 122000"),
        ("de", "zwei Millionen und drei Millionen", "2000000 und 3000000"),
        ("nl", "twee miljoen en drie miljoen", "2000000 en 3000000"),
    ],
)
def test_numbers_that_follow_each_other_are_not_added_up(language: str, said: str, written: str) -> None:
    assert applied(said, (), numerals.edits(said, language))[0] == written


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["hundred", "thousand", "million"]))
def test_each_of_two_numbers_keeps_its_value(one: int, other: int, multiplier: str) -> None:
    said = f"{DIGITS[one]} {multiplier} and {DIGITS[other]} {multiplier}"
    value = {"hundred": 100, "thousand": 1000, "million": 1_000_000}[multiplier]
    assert applied(said, (), numerals.edits(said, "en"))[0] == f"{one * value} and {other * value}"


@pytest.mark.parametrize(
    ("language", "said", "written"),
    [
        ("en", "In nineteen oh five and twenty fifteen.", "In 1905 and 2015."),
        ("en", "At eleven thirty, eleven twelve thirteen.", "At 11 30, 11 12 13."),
        ("en", "Thirteen fourteen fifteen sixteen.", "13 14 15 16."),
        ("en", "May twenty second, the thirty second of June.", "May 22nd, the 32nd of June."),
        ("en", "A hundred and five of a thousand two hundred.", "105 of 1200."),
        ("en", "A twenty-five-year-old in seat five-five.", "A 25-year-old in seat 5-5."),
        ("en", "Ten to two hundred.", "10 to 200."),
        ("de", "Eine Million zweihunderttausend, acht Hunde.", "1200000, 8 Hunde."),
        ("de", "In acht Tagen, ein Acht-Stunden-Tag.", "In 8 Tagen, ein 8-Stunden-Tag."),
        ("fr", "Neuf cents, zéro neuf.", "900, 09."),
        ("it", "Tre sei due.", "3 6 2."),
        ("pt", "Nove meia dois três.", "9 6 2 3."),
    ],
)
def test_numbers_have_the_value_that_is_meant(language: str, said: str, written: str) -> None:
    assert applied(said, (), numerals.edits(said, language))[0] == written


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Hundreds of people, hundreds of thousands, half a million, several thousand, a few hundred thousand."),
        ("en", "A thirty second video, a sixty-second spot, in the nineteen eighties."),
        ("en", "Five to six hundred people, two or three thousand."),
        ("de", "Millionen Menschen, eine Million, tausend Dank, hundert Prozent, eine halbe Million."),
        ("de", "Gib acht! Wir achten darauf, außer Acht lassen, fünf bis sechshundert."),
        ("fr", "Deux pour cent, des millions de gens, c'est neuf. Cinq à six cents."),
        ("es", "Ciento por ciento, miles de personas, mil gracias, el cuarto de baño, cinco o seis mil."),
        ("it", "Tu sei italiano. Chi sei? Cento per cento, mille grazie, tre quarti."),
        ("nl", "Honderd procent, een half miljoen, geef acht, vijf of zes honderd."),
        ("pt", "Cento por cento, milhões de pessoas, no quarto, na sexta, na sexta-feira, meia hora, às três e meia."),
    ],
)
def test_words_with_another_meaning_stay(language: str, said: str) -> None:
    assert applied(said, (), numerals.edits(said, language))[0] == said
