import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.whisper import guards


@pytest.mark.parametrize(
    ("tokens", "start"),
    [
        ([1, 2, 3, 4], None),
        ([9, 1, 2, 1, 2, 1, 2], 3),
        ([9, 1, 2, 1, 2], None),
        ([5, 5, 5, 5], None),
        ([4, 5, 5, 5, 5, 5], 2),
    ],
)
def test_loop_start_finds_phrases_said_over_and_over(tokens: list[int], start: int | None) -> None:
    assert guards.loop_start(tokens) == start


@given(st.lists(st.integers(0, 5), max_size=60))
def test_loop_start_leaves_one_turn_of_the_phrase(tokens: list[int]) -> None:
    start = guards.loop_start(tokens)
    assert start is None or (0 < start < len(tokens) and guards.loop_start(tokens[:start]) != start)


@pytest.mark.parametrize(
    ("tokens", "start"),
    [
        ([1, 2, 3, 4, 5], None),
        ([1, 2, 3, 4, 1, 2, 3], 4),
        ([1, 2, 3, 4, 2, 3, 4], 4),
        ([1, 2, 3, 4, 1], 4),
        ([1, 2, 3, 4, 3, 4], None),
        ([], None),
    ],
)
def test_echo_start_finds_a_tail_said_before(tokens: list[int], start: int | None) -> None:
    assert guards.echo_start(tokens) == start


def test_compression_ratio_tells_loops_from_sentences() -> None:
    assert guards.compression_ratio("and so on " * 20) > guards.COMPRESSION_RATIO_LIMIT
    assert guards.compression_ratio("The library lends books, films, and even musical instruments.") < 1.5
    assert guards.compression_ratio("no no no") == 0


def test_is_suspect_names_each_reason() -> None:
    assert not guards.is_suspect("fine", -0.2, looped=False, hit_cap=False)
    assert guards.is_suspect("fine", -0.2, looped=True, hit_cap=False)
    assert guards.is_suspect("fine", -0.2, looped=False, hit_cap=True)
    assert guards.is_suspect("fine", -1.2, looped=False, hit_cap=False)
    assert guards.is_suspect("and so on " * 20, -0.2, looped=False, hit_cap=False)


def test_is_noise_needs_doubt_besides_no_speech() -> None:
    assert guards.is_noise(-1.5, 0.9, voiced_windows=20)
    assert not guards.is_noise(-0.3, 0.9, voiced_windows=20)
    assert not guards.is_noise(-1.5, 0.9, voiced_windows=50)
    assert guards.is_noise(-2.0, 0.9, voiced_windows=50)
    assert guards.is_noise(-0.8, 0.1, voiced_windows=2)
    assert not guards.is_noise(-0.2, 0.1, voiced_windows=2)
