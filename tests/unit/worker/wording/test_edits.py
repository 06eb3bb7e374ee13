"""Edits of a text carry over to its timed words."""

import pytest

from shared.events import Word
from worker.wording.edits import Edit, applied


def timed(text: str) -> tuple[Word, ...]:
    return tuple(Word(word, index * 10, index * 10 + 9, 0.9 - index / 10) for index, word in enumerate(text.split()))


def test_words_of_one_replacement_become_one() -> None:
    text = "have twenty five, dogs"
    edited, words = applied(text, timed(text), [Edit(5, 16, "25")])
    assert edited == "have 25, dogs"
    assert words == (
        Word("have", 0, 9, 0.9),
        Word("25,", 10, 29, pytest.approx(0.7)),
        Word("dogs", 30, 39, pytest.approx(0.6)),
    )


def test_removed_words_leave_the_others_as_they_are() -> None:
    text = "um I um think"
    edited, words = applied(text, timed(text), [Edit(0, 3, ""), Edit(4, 7, "")])
    assert edited == "I think"
    assert [(word.text, word.start_samples) for word in words] == [("I", 10), ("think", 30)]


def test_a_mark_that_is_left_belongs_to_the_word_before() -> None:
    text = "you know um."
    edited, words = applied(text, timed(text), [Edit(8, 11, "")])
    assert edited == "you know."
    assert [word.text for word in words] == ["you", "know."]


def test_a_word_may_hold_spaces() -> None:
    word = Word("2.5 seconds", 0, 99)
    assert applied("2.5 seconds", (word,), [Edit(0, 3, "[NUMBER]")]) == (
        "[NUMBER] seconds",
        (Word("[NUMBER] seconds", 0, 99),),
    )


def test_words_that_are_not_those_of_the_text_are_dropped() -> None:
    assert applied("my secret", timed("my sekret"), [Edit(3, 9, "[REDACTED]")]) == ("my [REDACTED]", ())


def test_without_edits_nothing_changes() -> None:
    words = timed("other words")
    assert applied(" text ", words, []) == (" text ", words)
