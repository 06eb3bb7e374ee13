"""What is committed of partials that may be revised."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.speech.agreed_text import AgreedText

ANY_TEXT = st.text(max_size=40)


def heard(partials: list[str], final: str) -> tuple[list[str], str]:
    """What is committed after each partial, and the text of the final."""
    agreed, committed = AgreedText(), []
    for partial in partials:
        shown = agreed.hear(partial)
        assert shown.startswith(agreed.committed)
        committed.append(agreed.committed)
    return committed, agreed.close(final)


def test_words_that_two_partials_agree_on_are_committed_but_the_last() -> None:
    partials = ["The morning", "The morning train", "The morning train leaves"]
    assert heard(partials, "The morning train leaves.") == (
        ["", "The morning", "The morning train"],
        "The morning train leaves.",
    )


def test_a_revised_edge_is_never_committed() -> None:
    assert heard(["The mourning", "The morning train"], "The morning train.") == (["", "The"], "The morning train.")


def test_a_committed_word_outlives_its_revision() -> None:
    agreed = AgreedText()
    for partial in ["the cat sad", "the cat sad on"]:
        agreed.hear(partial)
    assert agreed.hear("the bat sad on a mat") == "the cat sad on a mat"
    assert agreed.close("The bat sad on a mat.") == "the cat sad on a mat."


@pytest.mark.parametrize(("partials", "committed"), [(["今天天", "今天天气"], "今天天"), (["ไป", "ไปไหน"], "ไป")])
def test_a_character_stands_for_a_word_where_words_have_no_spaces(partials: list[str], committed: str) -> None:
    assert heard(partials, partials[-1])[0][-1] == committed


@given(ANY_TEXT, st.lists(st.integers(0, 40), max_size=8))
def test_growing_partials_leave_the_final_as_it_is(final: str, cuts: list[int]) -> None:
    assert heard([final[:cut] for cut in sorted(cuts)], final)[1] == final


@given(st.lists(ANY_TEXT, max_size=6), ANY_TEXT)
def test_what_is_committed_only_grows_whatever_is_revised(partials: list[str], final: str) -> None:
    committed, text = heard(partials, final)
    assert all(later.startswith(earlier) for earlier, later in pairwise([*committed, text]))
