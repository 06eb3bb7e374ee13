"""Spoken numbers become digits."""

import pytest

from worker.wording import numerals
from worker.wording.edits import applied


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
