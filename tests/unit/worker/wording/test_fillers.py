"""Filler words are dropped with the marks that only they need."""

import pytest

from worker.wording import fillers
from worker.wording.edits import applied


@pytest.mark.parametrize(
    ("language", "said", "written"),
    [
        ("en", "Um, I think so, uh, we go.", "I think so, we go."),
        ("en", "um I think", "I think"),
        ("en", "Um, you see, uhm, um.", "You see."),
        ("en", "Well uh, we go uh", "Well, we go"),
        ("en", "Um... I see. Uh, yes.", "I see. Yes."),
        ("en", "Apples, uh, um, pears.", "Apples, pears."),
        ("en", "Hmm? uh so", "so"),
        ("en", "Um, uh.", ""),
        ("en", "An umbrella, uh-huh, her human error.", "An umbrella, uh-huh, her human error."),
        ("de", "Äh, das ist ähm gut um drei, er kommt.", "Das ist gut um drei, er kommt."),
        ("fr", "Euh, je ne sais pas, heu, moi.", "Je ne sais pas, moi."),
        ("es", "Eh, no sé, em, bueno.", "No sé, bueno."),
        ("it", "Ehm, non so. Eh sì.", "Non so. Eh sì."),
        (None, "Äh, das ist um drei, er kommt.", "Das ist um drei, er kommt."),
    ],
)
def test_fillers_are_dropped(language: str | None, said: str, written: str) -> None:
    assert applied(said, (), fillers.edits(said, language))[0] == written
