import numpy as np
import pytest
from numpy.typing import NDArray

from tests.speech import SENTENCES, noise, silence, synthesise, telephone
from worker.engines.speech.bandwidth import Bandwidth
from worker.engines.speech.vad import WINDOW_SAMPLES


def windows(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    return pcm[: len(pcm) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)


@pytest.mark.parametrize("text", SENTENCES[:3])
@pytest.mark.parametrize("level", [1.0, 0.01])
def test_telephone_speech_is_narrow_band_at_any_level(text: str, level: float) -> None:
    pcm = windows(level * synthesise(text))
    assert not Bandwidth().hear(pcm)[len(pcm) // 2 :].any()
    assert Bandwidth().hear(windows(level * telephone(synthesise(text))))[5:].all()


def test_neither_silence_nor_wideband_noise_is_narrow_band() -> None:
    assert not Bandwidth().hear(windows(silence(1.0))).any()
    assert not Bandwidth().hear(windows(noise(1.0, 0.001))).any()


def test_one_consonant_shows_that_the_audio_is_wideband_until_long_after_it() -> None:
    vowel, consonant = telephone(synthesise(SENTENCES[0])), noise(0.2, 0.1)
    heard = Bandwidth().hear(windows(np.concatenate([vowel, consonant, vowel])))
    after = (len(vowel) + len(consonant)) // WINDOW_SAMPLES + 1
    assert heard[after - 10]
    assert not heard[after : after + 60].any()


def test_bandwidth_does_not_depend_on_how_audio_was_cut() -> None:
    pcm = windows(np.concatenate([telephone(synthesise(SENTENCES[0])), synthesise(SENTENCES[1])]))
    bandwidth = Bandwidth()
    cut = np.concatenate([bandwidth.hear(pcm[at : at + 7]) for at in range(0, len(pcm), 7)])
    assert np.array_equal(cut, Bandwidth().hear(pcm))
