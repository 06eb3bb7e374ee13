"""Three seconds of speech, in segments of one second with pauses of one second between them."""

import numpy as np
import pytest

from shared.events import SAMPLE_RATE_HZ
from tests.unit.worker.engines.whisper.heard_words import word, words
from worker.engines.speech.vad import WINDOW_SAMPLES
from worker.engines.whisper.left_out import rest_start
from worker.engines.whisper.spans import Span
from worker.engines.whisper.voice import Voice
from worker.engines.whisper.words import HeardWord

SEGMENTS = tuple(Span(start_s * SAMPLE_RATE_HZ, (start_s + 1) * SAMPLE_RATE_HZ) for start_s in (0, 2, 4))


def rest_start_s(heard: tuple[HeardWord, ...], voice_s: float = 1.0) -> float | None:
    """Each segment has voice in the first `voice_s`."""
    voice = Voice()
    for one in SEGMENTS:
        voice.hear(one.start_samples, np.ones(round(voice_s * SAMPLE_RATE_HZ / WINDOW_SAMPLES)), 0.5)
    start = rest_start(heard, SEGMENTS, voice, SEGMENTS[-1].end_samples)
    return None if start is None else start / SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ((4.2, 5.0), None),
        ((4.2, 4.6), None),
        ((2.1, 2.5), 2.5),
        ((2.1, 2.9), 2.9),
        ((0.2, 1.0), 1.0),
    ],
    ids=["all", "little", "much", "segment", "segments"],
)
def test_rest_begins_after_the_last_word(last: tuple[float, float], expected: float | None) -> None:
    assert rest_start_s((word(" before", 0.0, 0.1), word(" last", *last))) == expected


@pytest.mark.parametrize(
    ("last", "expected"),
    [((2.2, 2.6), 4.0), ((2.2, 4.1), 4.0), ((3.2, 4.2), None), ((2.35, 4.3), None), ((4.3, 5.0), None)],
    ids=["left-out", "longer-than-said", "pause-before-it", "mostly-in-it", "said"],
)
def test_short_segment_after_the_last_word_is_left_out(last: tuple[float, float], expected: float | None) -> None:
    assert rest_start_s((word(" before", 0.0, 0.1), word(" last", *last)), voice_s=0.5) == expected


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(0.1, 1.0), (1.0, 2.3), (2.3, 4.05)], None),
        ([(0.1, 1.0), (1.0, 2.1), (2.1, 2.3), (2.3, 2.4)], None),
        ([(0.1, 1.0), (1.0, 2.4)], 4.0),
        ([(0.1, 0.2), (0.2, 0.4)], 2.0),
        ([(2.1, 2.2), (2.2, 2.4)], 4.0),
    ],
    ids=["last-too-early", "one-too-many", "two", "in-one-segment", "in-one-later-segment"],
)
def test_repetitions_with_pauses_count_as_segments(places: list[tuple[float, float]], expected: float | None) -> None:
    assert rest_start_s(tuple(word(" no", *place) for place in places), voice_s=0.4) == expected


def test_much_voice_after_repetitions_is_left_out() -> None:
    assert rest_start_s(words("no no no", word_s=0.2)) == pytest.approx(0.6)
