"""Which figures recorded speech gives, on results made by hand; and where long audio is cut to be aligned."""

import numpy as np

from tests.bench.alignment import Cut, _pieces
from tests.bench.clips import TUNED_ON_S, Clip
from tests.bench.figures import Figure
from tests.bench.screen import Measured
from tests.bench.speech_results import STREAMS, Result, figures, lines_of_groups
from tests.bench.transcripts import Transcript

SECOND = 16_000
CPU = {1: 0.5, 4: 0.5, 8: 0.5}


def result(name: str, *, live_errors: int, language: str = "en", seconds: float = 10.0, tags: str = "") -> Result:
    """A clip of 100 words with 4 errors offline and 5 as a recording, played twice."""
    clip = Clip(name, language, (tags,), "word " * 100, np.zeros(round(seconds * SECOND), np.float32))
    live = {n: Measured(live_errors, 200, 6, [100.0] * 4, [200.0] * 4, [300.0] * 4, [50.0]) for n in STREAMS}
    return Result(clip, Transcript("", 2.0, 3.0), Transcript("", 1.0, 1.5), [], 4, 5, live)


def by_name(found: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in found}


def test_figures_are_of_clips_that_nothing_was_tuned_on() -> None:
    tuned = result("jfk", live_errors=200, seconds=TUNED_ON_S["jfk"])
    found = by_name(figures([tuned, result("new", live_errors=10)], CPU))
    assert found["WER live over offline, clean English, 1 stream"].value == 1.0
    assert found["WER live over offline, clean English, 1 stream"].met
    assert found["WER of recordings over offline, English"].value == 1.0
    assert not found["WER of recordings over offline, English"].met
    assert found["words retracted per 100, recorded speech, 8 streams"].value == 3.0
    assert found["a word is committed, recorded speech, 4 streams, p50"].value == 300
    assert found["CPU of live speech, 4 streams, of real time"].value == 50
    assert not found["CPU of live speech, 4 streams, of real time"].met


def test_groups_have_their_own_targets_and_are_absent_without_clips() -> None:
    noisy = by_name(figures([result("a", live_errors=19, tags="telephone")], CPU))
    other = by_name(figures([result("b", live_errors=13, language="de")], CPU))
    assert noisy["WER live over offline, telephone and noisy, 1 stream"].met
    assert not other["WER live over offline, other languages, 1 stream"].met
    assert not any("clean" in name or "other" in name for name in noisy)
    assert not any("a word appears" in name for name in other)


def test_both_parts_of_the_split_are_shown() -> None:
    tuned = result("jfk", live_errors=2, seconds=TUNED_ON_S["jfk"])
    lines = lines_of_groups([tuned, result("new", live_errors=10)])
    assert [line.split("  ")[0] for line in lines if not line.startswith(" ")] == [
        "clean English, used for tuning",
        "clean English, not used for tuning",
    ]


def test_long_audio_is_cut_in_its_longest_pauses() -> None:
    cuts = [Cut(5, 5 * SECOND, 9000), Cut(10, 20 * SECOND, 500), Cut(14, 25 * SECOND, 8000), Cut(20, 45 * SECOND, 700)]
    pieces = list(_pieces("a" * 30, 60 * SECOND, cuts))
    assert [(start // SECOND, end // SECOND, len(text)) for start, end, text in pieces] == [
        (0, 25, 14),
        (25, 45, 5),
        (45, 60, 9),
    ]


def test_audio_without_a_pause_to_cut_in_stays_whole() -> None:
    assert list(_pieces("abc", 60 * SECOND, [])) == [(0, 60 * SECOND, "abc")]
