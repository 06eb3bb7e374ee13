"""How speech is cut into windows."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.speech import SENTENCES, silence, synthesise
from worker.engines.speech.vad import SileroVad
from worker.speakers.sizes import LENGTH_SAMPLES, STEP_SAMPLES
from worker.speakers.windows import PAUSE_SAMPLES, SpeechWindows, Window

Floats = NDArray[np.float32]


def cut(pcm: Floats, chunk_samples: int, start_samples: int = 0) -> list[Window]:
    speech = SpeechWindows(SileroVad(), start_samples)
    found: list[Window] = []
    for at in range(0, len(pcm), chunk_samples):
        found += speech.feed(pcm[at : at + chunk_samples])
    return [*found, *speech.end_stretch()]


@pytest.fixture(scope="module")
def turns() -> Sequence[Floats]:
    return [synthesise(SENTENCES[0]), synthesise(SENTENCES[1])]


def test_windows_have_one_length_and_a_pause_is_in_none(turns: Sequence[Floats]) -> None:
    pcm = np.concatenate([turns[0], silence(1.0), turns[1], silence(1.0)])
    windows = cut(pcm, 1600)
    assert max(len(one.pcm) for one in windows) == LENGTH_SAMPLES
    middle = len(turns[0]) + 8000
    assert not [one for one in windows if one.start_samples < middle < one.end_samples]
    for one in windows:
        assert np.array_equal(one.pcm, pcm[one.start_samples : one.end_samples])
    within = [one for one in windows if one.end_samples < len(turns[0]) - PAUSE_SAMPLES]
    assert {b.start_samples - a.start_samples for a, b in pairwise(within)} >= {STEP_SAMPLES}


def test_windows_do_not_depend_on_how_audio_arrives(turns: Sequence[Floats]) -> None:
    pcm = np.concatenate([turns[0], silence(0.5), turns[1]])
    few, many = cut(pcm, len(pcm)), cut(pcm, 777)
    assert [(one.start_samples, len(one.pcm)) for one in few] == [(one.start_samples, len(one.pcm)) for one in many]


def test_positions_count_from_the_start_of_the_session(turns: Sequence[Floats]) -> None:
    first, later = cut(turns[0], 1600), cut(turns[0], 1600, start_samples=512_000)
    assert [one.start_samples + 512_000 for one in first] == [one.start_samples for one in later]


def test_silence_has_no_window() -> None:
    assert cut(silence(3.0), 1600) == []
