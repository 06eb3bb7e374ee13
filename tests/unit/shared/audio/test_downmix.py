"""Channels that cancel each other, or are silent: the mono mix keeps what is on them, and says so."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.audio.damage import CHANNELS, AudioWarning
from shared.audio.downmix import Downmix
from shared.audio.files import decode_file
from tests.speech import noise
from tests.unit.shared.audio.test_files import mux, samples_of

RATE_HZ = 16_000
VOICE = noise(3.0, 0.1)
OTHER = np.random.default_rng(7).standard_normal(len(VOICE)).astype(np.float32) * 0.1
SILENCE = np.zeros_like(VOICE)


def mixed(*channels: NDArray[np.float32], piece_samples: int = 1000) -> tuple[NDArray[np.float32], str | None]:
    frames = np.stack(channels, axis=1).astype(np.float32)
    downmix = Downmix(RATE_HZ)
    parts = [downmix.feed(frames[at : at + piece_samples]) for at in range(0, len(frames), piece_samples)]
    return np.concatenate([*parts, downmix.finish()]), downmix.remark()


@pytest.mark.parametrize("second", [VOICE, OTHER, 0.3 * OTHER, 0.02 * VOICE])
def test_mean_is_taken_where_it_is_as_good(second: NDArray[np.float32]) -> None:
    mono, remark = mixed(VOICE, second)
    assert np.allclose(mono, (VOICE + second) / 2, atol=1e-7)
    assert remark is None


@pytest.mark.parametrize("gain", [-1.0, -0.9, -0.6])
def test_loudest_channel_is_taken_where_they_cancel(gain: float) -> None:
    mono, remark = mixed(gain * VOICE, VOICE)
    assert np.array_equal(mono, VOICE if gain > -1 else gain * VOICE)
    used = 1 if gain == -1 else 2
    assert remark == (
        "The 2 channels cancel each other out when they are mixed (one has its polarity inverted): "
        f"channel {used} is used alone."
    )


@pytest.mark.parametrize("dead", [SILENCE, 1e-4 * OTHER])
def test_silent_channel_is_left_out(dead: NDArray[np.float32]) -> None:
    mono, remark = mixed(dead, VOICE)
    assert np.array_equal(mono, VOICE)
    assert remark == "Channel 1 is silent: channel 2 is used alone."


def test_silent_channels_of_many_are_left_out() -> None:
    mono, remark = mixed(SILENCE, VOICE, SILENCE, OTHER, SILENCE, SILENCE)
    assert np.allclose(mono, (VOICE + OTHER) / 2, atol=1e-7)
    assert remark == "Channels 1, 3, 5, 6 are silent: the others are used."


def test_speaker_who_begins_late_on_the_other_channel_is_heard_from_the_first_sample() -> None:
    first, second = VOICE.copy(), 0.05 * OTHER
    first[20_000:] = 0
    second[:20_100] = 0
    mono, remark = mixed(first, second)
    assert np.allclose(mono[:16_000], first[:16_000])
    assert np.allclose(mono[16_000:], (first[16_000:] + second[16_000:]) / 2, atol=1e-7)
    assert remark is None or "silent" not in remark


def test_result_does_not_depend_on_the_pieces() -> None:
    whole, _ = mixed(VOICE, -VOICE + 0.01 * OTHER, piece_samples=len(VOICE))
    assert len(whole) == len(VOICE)
    for piece_samples in (1, 777, 30_000):
        pieces, _ = mixed(VOICE[:20_000], (-VOICE + 0.01 * OTHER)[:20_000], piece_samples=piece_samples)
        assert len(pieces) == 20_000
        assert np.array_equal(pieces[:16_000], whole[:16_000])


def test_silence_on_all_channels_needs_no_word() -> None:
    assert mixed(SILENCE, SILENCE) == (pytest.approx(SILENCE), None)


def test_recording_with_inverted_polarity_is_heard_with_a_warning() -> None:
    sink = io.BytesIO()
    mux(sink, "wav", "pcm_s16le", np.stack([VOICE, -VOICE]), RATE_HZ)
    warnings: list[AudioWarning] = []
    samples = samples_of(decode_file(sink.getvalue(), strict=True, warn=warnings.append))
    assert np.allclose(samples, VOICE, atol=1e-4)
    assert [(warning.code, warning.start_s) for warning in warnings] == [(CHANNELS, None)]
    assert "channel 1 is used alone" in warnings[0].message
