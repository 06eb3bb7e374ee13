"""Which words a viewer sees: few changes, and no word later than needed."""

import pytest

from tests.unit.worker.engines.whisper.heard_words import words
from worker.engines.whisper.shown import SAME_TIME_S, ShownWords
from worker.engines.whisper.transcript import joined


def hear(shown: ShownWords, text: str, *, free: int | None = None, probability: float = 0.9) -> str:
    """The shown text after a hypothesis, whose first `free` words can be shown; None: all."""
    heard = words(text, probability=probability)
    shown.hear(heard, len(heard) if free is None else free)
    return joined(shown.words)


def test_only_free_words_are_shown_and_none_is_taken_back() -> None:
    shown = ShownWords()
    assert hear(shown, "ice cream is", free=2) == "ice cream"
    assert hear(shown, "ice cream is", free=1) == "ice cream"
    assert hear(shown, "") == "ice cream"


def test_last_word_takes_its_new_mark_and_those_before_it_keep_theirs() -> None:
    shown = ShownWords()
    assert hear(shown, "yes and no.") == "yes and no."
    assert hear(shown, "yes, and no, never") == "yes and no, never"


@pytest.mark.parametrize(("probability", "hypotheses"), [(0.9, 2), (0.8, 3)])
def test_a_likelier_word_must_be_heard_twice_and_a_less_likely_one_three_times(
    probability: float, hypotheses: int
) -> None:
    shown = ShownWords()
    assert hear(shown, "ice cream", probability=0.85) == "ice cream"
    for _ in range(hypotheses - 1):
        assert hear(shown, "I scream", probability=probability) == "ice cream"
    assert hear(shown, "I scream", probability=probability) == "I scream"


def test_a_word_changes_as_soon_as_hypotheses_agree_however_near_it_is_to_the_edge() -> None:
    shown = ShownWords()
    hear(shown, "ice cream is")
    hear(shown, "I scream", free=0)
    assert hear(shown, "I scream for", free=0) == "I scream"


def test_a_word_that_is_no_longer_heard_stays_until_another_takes_its_place() -> None:
    shown = ShownWords()
    assert hear(shown, "ice cream") == "ice cream"
    assert [hear(shown, "ice") for _ in range(4)] == ["ice cream"] * 4
    assert hear(shown, "ice age") == "ice cream"
    assert hear(shown, "ice age") == "ice age"


def test_words_after_a_doubtful_one_are_shown() -> None:
    shown = ShownWords()
    assert hear(shown, "the block book") == "the block book"
    assert hear(shown, "the black book was printed", free=4, probability=0.5) == "the block book was"
    assert hear(shown, "the block book was printed") == "the block book was printed"


def test_words_follow_only_the_same_word_at_the_same_time() -> None:
    shown = ShownWords()
    shown.hear(words("so it was"), 3)
    shown.hear(words("and it was late", start_s=SAME_TIME_S + 0.1, probability=0.5), 4)
    assert joined(shown.words) == "so it was"
    shown.hear(words("and it Was, late", start_s=SAME_TIME_S, probability=0.5), 4)
    assert joined(shown.words) == "so it was late"


def test_words_follow_the_last_of_equal_ones() -> None:
    shown = ShownWords()
    shown.hear(words("so no no", word_s=0.2), 3)
    shown.hear(words("and no no never", word_s=0.2, probability=0.5), 4)
    assert joined(shown.words) == "so no no never"


def test_settled_words_are_shown_no_longer() -> None:
    shown = ShownWords()
    hear(shown, "the old house stands", free=3)
    shown.settle(2, words("the old house stands"), 3)
    assert joined(shown.words) == "house"


def test_settled_words_that_were_not_shown_bring_theirs_with_them() -> None:
    shown = ShownWords()
    hear(shown, "the blockbooks were")
    heard = words("the block books were the first", probability=0.5)
    shown.hear(heard, 5)
    assert joined(shown.words) == "the blockbooks were"
    shown.settle(3, heard, 5)
    assert joined(shown.words) == "were the"


def test_more_settled_words_than_were_shown_bring_theirs_with_them() -> None:
    shown = ShownWords()
    hear(shown, "the old house stands", free=1)
    shown.settle(2, words("the old house stands"), 3)
    assert joined(shown.words) == "house"


def test_hypotheses_are_compared_after_the_settled_words() -> None:
    shown = ShownWords()
    hear(shown, "so ice cream")
    hear(shown, "so I scream")
    shown.settle(1, words("so I scream"), 3)
    assert joined(shown.words) == "ice cream"
    assert hear(shown, "I scream") == "I scream"


def test_cleared_words_leave_nothing_behind() -> None:
    shown = ShownWords()
    hear(shown, "ice cream")
    hear(shown, "I scream")
    shown.clear()
    assert shown.words == []
    assert hear(shown, "ice cream") == "ice cream"
    assert hear(shown, "I scream") == "ice cream"
