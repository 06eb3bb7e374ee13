"""Resampling: the same for any cut, right in length, pitch and level, clean, and prompt enough for live audio."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.audio.resample import Resampler

RATES = [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 384_000]


def resampled(samples: NDArray[np.float32], rate: int, sizes: list[int]) -> NDArray[np.float32]:
    resampler = Resampler(rate)
    outputs, start, turn = [], 0, 0
    while start < len(samples):
        size = sizes[turn % len(sizes)]
        outputs.append(resampler.feed(samples[start : start + size]).copy())
        start, turn = start + size, turn + 1
    return np.concatenate([*outputs, resampler.finish()])


def tone(frequency_hz: float, rate: int, duration_s: float = 1.0) -> NDArray[np.float32]:
    time_s = np.arange(round(rate * duration_s)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def sweep(rate: int, duration_s: float = 1.0) -> NDArray[np.float32]:
    time_s = np.arange(round(rate * duration_s)) / rate
    return (0.5 * np.sin(2 * np.pi * (50 + rate / 5 * time_s) * time_s)).astype(np.float32)


@pytest.mark.parametrize("rate", [*RATES, 6_000, 8_001, 15_999, 16_001, 192_000, 384_000])
@pytest.mark.parametrize("sizes", [[1], [160], [7, 1, 333, 2000]])
def test_resampler_result_does_not_depend_on_chunks(rate: int, sizes: list[int]) -> None:
    samples = sweep(rate, 0.3)
    assert np.array_equal(resampled(samples, rate, sizes), resampled(samples, rate, [len(samples)]))


@settings(deadline=None)
@given(st.integers(6_000, 384_000), st.integers(0, 3000))
def test_resampler_keeps_the_length(rate: int, samples: int) -> None:
    output = resampled(np.full(samples, 0.1, np.float32), rate, [500])
    assert len(output) == round(samples * 16_000 / rate)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frequency_hz", [100, 1_000, 3_400])
def test_resampler_keeps_pitch_level_and_time(rate: int, frequency_hz: int) -> None:
    output = resampled(tone(frequency_hz, rate), rate, [rate // 50])
    assert abs(len(output) - 16_000) <= 1
    inner = slice(2_000, -2_000)
    time_s = np.arange(len(output))[inner] / 16_000
    basis = np.exp(-2j * np.pi * frequency_hz * time_s)
    # The part at the tone's own frequency; a sine has phase -90°.
    component = 2 * np.mean(output[inner] * basis)
    assert abs(component) == pytest.approx(0.5, rel=0.002)
    rest = output[inner] - np.real(component / basis)
    assert np.sqrt(np.mean(rest**2)) < 1e-4, "no echo, alias or image above -70 dB"
    delay_s = -np.angle(component * 1j) / (2 * np.pi * frequency_hz)
    assert abs(delay_s) < 0.000_2


@pytest.mark.parametrize("rate", [24_000, 44_100, 48_000, 96_000, 384_000])
@pytest.mark.parametrize("frequency_hz", [8_300, 9_000, 11_000])
def test_resampler_lets_no_alias_through(rate: int, frequency_hz: int) -> None:
    output = resampled(tone(frequency_hz, rate), rate, [rate])
    assert np.sqrt(np.mean(output[2_000:-2_000] ** 2)) < 0.35 * 10 ** (-90 / 20)


@pytest.mark.parametrize(("rate", "limit_ms"), [(8_000, 31), (11_025, 23), (24_000, 11), (44_100, 15), (48_000, 14)])
def test_resampler_holds_back_little(rate: int, limit_ms: float) -> None:
    resampler, given_samples, taken_samples, held_ms = Resampler(rate), 0, 0, []
    for start in range(0, rate, rate // 100):
        chunk = tone(440, rate)[start : start + rate // 100]
        given_samples += len(chunk)
        taken_samples += len(resampler.feed(chunk))
        held_ms.append(1_000 * (given_samples / rate - taken_samples / 16_000))
    assert max(held_ms) < limit_ms


def test_resampler_passes_16_khz_unchanged() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 999).astype(np.float32)
    assert np.array_equal(resampled(samples, 16_000, [100]), samples)
