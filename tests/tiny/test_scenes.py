"""Scenes are the same on every run, and the words are where they say."""

import numpy as np

from tests.tiny.alignment import heard, targets
from tests.tiny.scenes import WORDS, scene


def test_scene_is_the_same_each_time() -> None:
    one, same, other = scene(4), scene(4), scene(5)
    assert np.array_equal(one.audio, same.audio)
    assert one.words == same.words
    assert one.text != other.text


def test_scene_is_silent_between_its_words() -> None:
    spoken = scene(1, WORDS, gap_s=(0.3, 0.4), lead_s=0.2, trail_s=0.6, snr_db=None)
    assert [word.text for word in spoken.words] == list(WORDS)
    assert spoken.words[0].start_samples == 3200
    assert len(spoken.audio) == spoken.words[-1].end_samples + 9600
    for word, following in zip(spoken.words, spoken.words[1:], strict=False):
        assert 4800 <= following.start_samples - word.end_samples <= 6400
        middle = (word.end_samples + following.start_samples) // 2
        assert not spoken.audio[middle - 800 : middle + 800].any()
        assert np.abs(spoken.audio[word.start_samples : word.end_samples]).max() > 0.03


def test_scene_without_words_is_only_noise() -> None:
    quiet = scene(2, 0, lead_s=1, trail_s=1)
    assert quiet.words == ()
    assert len(quiet.audio) == 32_000
    assert 0 < np.abs(quiet.audio).max() < 0.02


def test_targets_put_the_marker_where_the_sound_ends() -> None:
    spoken = scene(3, 8, gap_s=(0.1, 0.2))
    ends = [(word.text, (word.end_samples - 1) // 1280) for word in spoken.words]
    assert heard(targets(spoken.words, 200)) == ends
