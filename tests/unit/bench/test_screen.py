"""The measurements of live text, on histories made by hand."""

import numpy as np

from tests.bench.screen import Appearance, Measured, Screen, Script, Sight, appearances, measured, retracted

SECOND = 16_000


def shown(*sights: tuple[float, str, str]) -> Screen:
    """One segment; the last text is its final."""
    screen = Screen()
    for at_s, text, committed_text in sights[:-1]:
        screen.see_partial(at_s, 0, text, committed_text)
    at_s, text, _ = sights[-1]
    screen.see_final(at_s, 0, text)
    return screen


def test_word_appears_settles_and_is_committed() -> None:
    history = shown(
        (1.0, "the cat", ""),
        (2.0, "the cap sat", ""),
        (3.0, "The cat, sat", "The"),
        (4.0, "The cat, sat down", "The cat, sat"),
        (5.0, "The cat, sat down.", ""),
    ).shown[0]
    assert appearances(history) == [
        ("the", Appearance(1.0, 1.0, 3.0)),
        ("cat", Appearance(1.0, 3.0, 4.0)),
        ("sat", Appearance(2.0, 2.0, 4.0)),
        ("down", Appearance(4.0, 4.0, 5.0)),
    ]


def test_words_of_a_segment_without_partials_come_with_its_final() -> None:
    assert appearances([Sight(2.0, "Yes.", "Yes.")]) == [("yes", Appearance(2.0, 2.0, 2.0))]


def test_words_taken_back_are_counted_each_time() -> None:
    history = shown((1, "one cat", ""), (2, "one cap sat", ""), (3, "one", ""), (4, "One, cat sat.", "")).shown[0]
    assert retracted(history) == 3


def test_text_that_grows_or_changes_its_marks_takes_nothing_back() -> None:
    history = shown((1, "twenty", ""), (2, "twenty one", ""), (3, "Twenty-one: days.", "")).shown[0]
    assert retracted(history) == 0


def test_characters_are_taken_back_where_words_are_not_spaced() -> None:
    assert retracted(shown((1, "客観的", ""), (2, "客観実在。", "")).shown[0], "ja") == 1


def test_delays_count_from_the_true_ends_of_words_heard_right() -> None:
    script = Script(np.zeros(4 * SECOND, np.float32), ["a", "b", "c", "d"], [SECOND, 2 * SECOND, None, 3 * SECOND])
    result = measured(script, shown((1.5, "a", ""), (2.25, "a x", "a"), (3.5, "a x c d", "a"), (4.25, "a x c d", "")))
    assert (result.errors, result.words, result.retracted) == (1, 4, 0)
    assert result.first_ms == result.stable_ms == [500, 500]
    assert result.commit_ms == [1250, 1250]
    assert result.final_ms == [250]


def test_stream_without_text_is_all_errors() -> None:
    result = measured(Script(np.zeros(SECOND, np.float32), ["a", "b"], [1, 2]), Screen())
    assert (result.errors, result.error_percent, result.final_ms) == (2, 100, [])


def test_measurements_add_up() -> None:
    total = Measured()
    total.add(Measured(1, 10, 2, [1], [2], [3], [4]))
    total.add(Measured(2, 20, 1, [5], [6], [7], [8]))
    assert (total.error_percent, total.retracted_percent) == (10, 10)
    assert (total.first_ms, total.stable_ms, total.commit_ms, total.final_ms) == ([1, 5], [2, 6], [3, 7], [4, 8])
