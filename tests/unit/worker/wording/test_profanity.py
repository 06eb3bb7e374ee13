"""Profane words keep their first letter."""

import pytest

from worker.wording import profanity
from worker.wording.edits import applied


@pytest.mark.parametrize(
    ("language", "said", "written"),
    [
        ("en", "Oh SHIT, this fucking shiitake.", "Oh S***, this f****** shiitake."),
        ("en", "A niggardly Scunthorpe cocktail.", "A niggardly Scunthorpe cocktail."),
        ("de", "So eine Scheiße, du Arschloch!", "So eine S******, du A********!"),
        ("es", "¡Qué mierda!", "¡Qué m*****!"),
        ("fr", "Putain, quel con.", "P*****, quel con."),
        ("it", "Che cazzo fai?", "Che c**** fai?"),
        ("en", "Pussies in a shithole, pissing on a shitake.", "P****** in a s*******, p****** on a shitake."),
        ("de", "Du fickst die Ärsche, kacken, wichs.", "Du f***** die Ä*****, k*****, w****."),
        (
            "es",
            "Qué gilipollez, pollas, chingón, jode, cojonudo, hijueputa.",
            "Qué g*********, p*****, c******, j***, c*******, h********.",
        ),
        ("fr", "Salopard, foutu, niqué, emmerder.", "S*******, f****, n****, e*******."),
        ("it", "Fottiti, stronza! Lo stronzio.", "F******, s******! Lo stronzio."),
        (None, "Jag fick slut på Pute, fickst.", "Jag fick slut på Pute, f*****."),
        ("ja", "fuck", "fuck"),
        (None, "Scheiße, shit, merde", "S******, s***, m****"),
        (None, "Bite the apple, con calma.", "Bite the apple, con calma."),
    ],
)
def test_profane_words_are_masked(language: str | None, said: str, written: str) -> None:
    assert applied(said, (), profanity.edits(said, language))[0] == written
