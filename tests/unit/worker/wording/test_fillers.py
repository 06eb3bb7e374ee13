"""Filler words are dropped with the marks that only they need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("en", "He was rushed to the ER at UM, um, with a UH.", "He was rushed to the ER at UM, with a UH."),
        ("en", "UM, I WENT TO, ER, PARIS.", "I WENT TO, PARIS."),
        ("en", '"Um, I think so." He said "uh, no" and "Um."', '"I think so." He said "no" and'),
        ("en", "- Um, yes. - Uh, no.", "- Yes. - No."),
        ("en", "(Um) yes (uh, no) and (um).", "yes (no) and."),
        ("en", "I said yes, (um).", "I said yes."),
        ("en", "um, (um) hm; um, yes.", "yes."),
        ("en", "Well — uh — I mean—um—that — uh.", "Well — I mean—that."),
        ("en", 'The "new" um, place.', 'The "new", place.'),
        ("de", "„Ähm, ja.“ Er sagte: „Äh.“", "„Ja.“ Er sagte:"),
        ("fr", "Oui, euh ! Et « euh, non », « euh ».", "Oui ! Et « non »."),
        ("es", "Es bueno, ¿eh? ¿Eh? ¡Eh, tú! Está bien, eh, bueno.", "Es bueno, ¿eh? ¿Eh? ¡Eh, tú! Está bien, bueno."),
        ("pt", "Ahn, a Ann foi, hum, a um bar.", "A Ann foi, a um bar."),
        ("de", "Äh, das ist ähm gut um drei, er kommt.", "Das ist gut um drei, er kommt."),
        ("fr", "Euh, je ne sais pas, heu, moi.", "Je ne sais pas, moi."),
        ("es", "Eh, no sé, em, bueno.", "No sé, bueno."),
        ("it", "Ehm, non so. Eh sì.", "Non so. Eh sì."),
        (None, "Äh, das ist um drei, er kommt.", "Das ist um drei, er kommt."),
    ],
)
def test_fillers_are_dropped(language: str | None, said: str, written: str) -> None:
    assert applied(said, (), fillers.edits(said, language))[0] == written


@given(
    st.lists(
        st.sampled_from(["um", "Uh", "well", "(", ")", '"', "«", "»", ",", ".", " ", " ", "—", "-", "¿", "?"]),
        max_size=14,
    ),
    st.sampled_from(["en", "es", "fr", None]),
)
def test_edits_are_in_order_and_remove_no_other_word(parts: list[str], language: str | None) -> None:
    said = "".join(parts)
    ends = [0]
    for edit in fillers.edits(said, language):
        assert ends[-1] <= edit.start < edit.end <= len(said)
        ends.append(edit.end)
    written = applied(said, (), fillers.edits(said, language))[0]
    assert written.lower().count("well") == said.count("well")
