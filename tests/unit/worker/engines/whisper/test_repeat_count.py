"""Spectrograms of phrases that are said several times, and texts with other counts."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.worker.engines.whisper.heard_words import word
from worker.engines.whisper.repeat_count import SAMPLES_PER_FRAME, counted
from worker.engines.whisper.words import HeardWord

MELS = 80
FRAMES_PER_S = 100
SILENCE = -1.5
WORD_FRAMES = 24


def sound(seed: int, frames: int = WORD_FRAMES) -> NDArray[np.float32]:
    """Something that is said, which begins and ends softly."""
    generator = np.random.default_rng(seed)
    shape = np.sin(np.pi * (np.arange(frames) + 0.5) / frames)
    bands = np.repeat(generator.uniform(-0.5, 0.5, (MELS, -(-frames // 4))), 4, axis=1)[:, :frames]
    return (bands + shape - 0.4).astype(np.float32)


def silence(frames: int) -> NDArray[np.float32]:
    return np.full((MELS, frames), SILENCE, np.float32)


def repeated(times: int, pause_frames: int, seed: int = 0) -> list[NDArray[np.float32]]:
    return [part for _ in range(times) for part in (sound(seed), silence(pause_frames))]


def spoken(*parts: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([silence(30), *parts, silence(200)], axis=1)


def heard(text: str, start_s: float, end_s: float) -> list[HeardWord]:
    """The words share the time evenly."""
    said = text.split()
    step_s = (end_s - start_s) / len(said)
    return [word(f" {one}", start_s + index * step_s, start_s + (index + 1) * step_s) for index, one in enumerate(said)]


def text_of(words: Sequence[HeardWord]) -> str:
    return "".join(one.text + one.mark for one in words).strip()


@pytest.mark.parametrize("pause_frames", [3, 20, 50])
@pytest.mark.parametrize(
    ("said", "written"), [(3, 3), (3, 4), (4, 3), (4, 5), (5, 5), (6, 4), (6, 5), (6, 7), (6, 9), (8, 6), (8, 10)]
)
def test_repetitions_are_those_of_the_audio(said: int, written: int, pause_frames: int) -> None:
    length_s = said * (WORD_FRAMES + pause_frames) / FRAMES_PER_S
    words = heard(", ".join(["test"] * written) + ".", 0.3, 0.3 + length_s)
    found = counted(words, spoken(*repeated(said, pause_frames)), has_context=False)
    assert text_of(found) == ", ".join(["test"] * said) + "."


def test_times_are_shared_among_the_repetitions() -> None:
    words = heard("Test, test, test, test, test", 0.3, 1.9)
    found = counted(words, spoken(*repeated(6, 4)), has_context=False)
    assert len(found) == 6
    for index, one in enumerate(found):
        start = (30 + index * (WORD_FRAMES + 4)) * SAMPLES_PER_FRAME
        assert abs(one.start_samples - start) <= 4 * SAMPLES_PER_FRAME
    assert all(one.end_samples == following.start_samples for one, following in pairwise(found))


def test_phrase_of_several_words_is_repeated_as_a_whole() -> None:
    said = [part for _ in range(5) for part in (sound(1, 18), sound(2, 18), sound(3, 30), silence(12))]
    words = heard("Hip hip hooray! Hip hip hooray! Hip hip hooray! Hip hip hooray!", 0.3, 4.1)
    assert text_of(counted(words, spoken(*said), has_context=False)) == " ".join(["Hip hip hooray!"] * 5)


def test_repetitions_before_a_pause_and_other_words_are_counted() -> None:
    features = spoken(*repeated(7, 3), silence(17), sound(1, 30), sound(2, 40))
    words = heard("Ha, ha, ha, ha, ha, ha, ha, ha, ha.", 0.3, 2.1) + heard("Very funny.", 2.3, 3.1)
    found = counted(words, features, has_context=False)
    assert text_of(found) == "Ha, ha, ha, ha, ha, ha, ha. Very funny."
    assert found[-2:] == tuple(words[-2:])


@pytest.mark.parametrize(("first_s", "has_context"), [(0.5, False), (0.0, True)])
def test_repetitions_that_follow_other_words_at_once_are_not_counted(first_s: float, has_context: bool) -> None:
    """Where they begin is not known well enough."""
    features = spoken(sound(5, 60), *repeated(6, 3))
    words = heard("Please say", 0.3, 0.9) * bool(first_s) + heard("no no no no no", 0.9, 2.5)
    assert counted(words, features, has_context=has_context) == tuple(words)


def test_sounds_that_are_not_alike_are_not_counted() -> None:
    features = spoken(*[part for seed in range(6) for part in (sound(seed, 20 + seed), silence(4))])
    words = heard("no no no no no", 0.3, 2.0)
    assert counted(words, features, has_context=False) == tuple(words)


def test_a_count_that_differs_too_much_is_not_believed() -> None:
    words = heard("no no no", 0.3, 2.9)
    assert counted(words, spoken(*repeated(8, 8)), has_context=False) == tuple(words)


@pytest.mark.parametrize("text", ["", "One two three.", "No, no."])
def test_other_texts_stay(text: str) -> None:
    words = heard(text, 0.3, 1.0) if text else []
    assert counted(words, spoken(*repeated(3, 3)), has_context=False) == tuple(words)


def test_a_steady_tone_is_no_repetition() -> None:
    words = heard("no no no no no", 0.3, 2.0)
    assert counted(words, np.zeros((MELS, 200), np.float32), has_context=False) == tuple(words)
