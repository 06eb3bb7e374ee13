import pytest

from tests.unit.worker.engines.whisper.heard_words import words
from worker.engines.whisper.repetitions import goes_on_repeating, recounted, repetition


@pytest.mark.parametrize(
    ("text", "length", "times"),
    [
        ("", 0, 1),
        ("no", 1, 1),
        ("No. no, NO!", 1, 3),
        ("I said no no", 1, 2),
        ("hip hip hooray hip hip hooray", 3, 2),
        ("go home. Go away. Go", 5, 1),
        ("one two three", 3, 1),
        ("a b c d e f g a b c d e f g", 14, 1),
    ],
)
def test_shortest_phrase_that_is_repeated_at_the_end(text: str, length: int, times: int) -> None:
    assert repetition(words(text)) == (length, times)


@pytest.mark.parametrize(
    ("settled", "text", "expected"),
    [
        ("stop", "Stop. Stop.", True),
        ("one more time", "one more time one more time", True),
        ("stop", "Stop.", False),
        ("stop", "", False),
        ("", "stop stop", False),
        ("go", "stop stop", False),
        ("stop", "please stop stop", False),
    ],
)
def test_number_is_in_doubt_if_words_only_repeat_the_settled_ones(settled: str, text: str, expected: bool) -> None:
    assert goes_on_repeating(words(text), words(settled)) is expected


def test_repetitions_are_as_many_and_where_the_other_answer_has_them() -> None:
    [found] = recounted(words("stop, Stop."), words("STOP!", start_s=4.0, probability=0.3))
    assert (found.text, found.mark, found.probability) == (" Stop", ".", 0.9)
    assert (found.start_samples, found.end_samples) == (64_000, 72_000)
    more = words("Go home, go home, go home.")
    assert recounted(words("Go home. Go home."), more) == more


@pytest.mark.parametrize("alone", ["", "stub", "stop it", "stop, stop"])
def test_repetitions_stay_if_the_other_answer_has_other_words_or_as_many(alone: str) -> None:
    doubted = words("Stop. Stop.")
    assert recounted(doubted, words(alone)) == doubted
