"""Sounds without words, synthesised and the same on every run: what a microphone records without speech.

Each kind is a function of a length and a seed that returns `[samples]` at 16 kHz within ±1.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.speech import SAMPLE_RATE_HZ, music

Sound = NDArray[np.float32]
MINUTES = 10
"""Duration of all kinds together."""


def fan(duration_s: float, seed: int) -> Sound:
    """A fan: air noise, mostly below 400 Hz, and the beat of the blades."""
    generator = np.random.default_rng(seed)
    air = _coloured(generator, duration_s, lambda hz: 1 / (1 + (hz / 400) ** 2))
    blades_hz = generator.uniform(20, 60)
    return _levelled(air * (1 + 0.2 * np.sin(2 * np.pi * blades_hz * _times_s(duration_s))), 0.03)


def keyboard(duration_s: float, seed: int) -> Sound:
    """Key presses and releases, four to nine times a second, with pauses."""
    generator = np.random.default_rng(seed)
    sound = _empty(duration_s)
    at_s = 0.1
    while at_s < duration_s:
        for delay_s, loudness in ((0.0, 1.0), (generator.uniform(0.06, 0.12), 0.5)):
            click = _burst(generator, generator.uniform(0.008, 0.03), attack_s=0.0005, low_hz=1500, high_hz=7000)
            _lay(sound, at_s + delay_s, loudness * generator.uniform(0.4, 1.0) * click)
        at_s += generator.uniform(0.11, 0.25) + (generator.uniform(0.6, 2.5) if generator.random() < 0.1 else 0)
    return _peaked(sound + 0.002 * generator.standard_normal(len(sound)), 0.25)


def pink_noise(duration_s: float, seed: int) -> Sound:
    generator = np.random.default_rng(seed)
    return _levelled(_coloured(generator, duration_s, lambda hz: 1 / np.sqrt(np.maximum(hz, 20))), 0.05)


def hum(duration_s: float, seed: int) -> Sound:
    """A mains hum with its harmonics."""
    generator = np.random.default_rng(seed)
    mains_hz = generator.choice([50, 60])
    sound = _empty(duration_s)
    for harmonic in (1, 2, 3, 4, 5, 6, 8, 10):
        phase = generator.uniform(0, 2 * np.pi)
        sound += np.sin(2 * np.pi * mains_hz * harmonic * _times_s(duration_s) + phase) / harmonic
    return _levelled(sound, 0.05)


def tones(duration_s: float, seed: int) -> Sound:
    """Beeps of machines and telephones: steady, in pairs, and gliding."""
    generator = np.random.default_rng(seed)
    sound = _empty(duration_s)
    at_s = 0.2
    while at_s < duration_s:
        length_s = generator.uniform(0.08, 0.8)
        times_s = _times_s(length_s)
        first_hz, second_hz = generator.uniform(350, 2000, 2)
        glide = generator.choice([0.0, 0.0, 1.0]) * generator.uniform(-400, 400)
        beep = np.sin(2 * np.pi * (first_hz + glide * times_s) * times_s)
        if generator.random() < 0.4:
            beep += np.sin(2 * np.pi * second_hz * times_s)
        _lay(sound, at_s, beep * _edges(len(beep), 0.01))
        at_s += length_s + generator.uniform(0.1, 1.2)
    return _peaked(sound, 0.3)


def melody(duration_s: float, seed: int) -> Sound:
    """Plucked chords with a drum."""
    generator = np.random.default_rng(seed)
    sound = music(duration_s, seed=seed).astype(np.float64)
    for at_s in np.arange(0, duration_s, 0.5):
        _lay(sound, at_s, 0.3 * _burst(generator, 0.12, attack_s=0.002, low_hz=60, high_hz=2500))
    return _peaked(sound, 0.4)


def coughs(duration_s: float, seed: int) -> Sound:
    """One to three bursts at a time, each with a hard start, and with formants as of a throat."""
    generator = np.random.default_rng(seed)
    sound = _empty(duration_s)
    at_s = generator.uniform(0.2, 0.8)
    while at_s < duration_s:
        for _ in range(generator.integers(1, 4)):
            length_s = generator.uniform(0.12, 0.3)
            throat = _burst(generator, length_s, attack_s=0.008, low_hz=250, high_hz=1200)
            air = _burst(generator, length_s, attack_s=0.004, low_hz=1000, high_hz=5000)
            _lay(sound, at_s, generator.uniform(0.5, 1.0) * (throat + 0.6 * air))
            at_s += length_s + generator.uniform(0.1, 0.3)
        at_s += generator.uniform(1.0, 4.0)
    return _peaked(sound + 0.001 * generator.standard_normal(len(sound)), 0.5)


def breath(duration_s: float, seed: int) -> Sound:
    """Breathing in and out, close to the microphone."""
    generator = np.random.default_rng(seed)
    sound = _empty(duration_s)
    at_s = 0.2
    while at_s < duration_s:
        for low_hz, high_hz, loudness in ((600, 4000, 1.0), (300, 2000, 0.7)):
            length_s = generator.uniform(0.7, 1.4)
            air = _band(generator, length_s, low_hz, high_hz)
            _lay(sound, at_s, loudness * air * np.sin(np.pi * np.linspace(0, 1, len(air))) ** 2)
            at_s += length_s + generator.uniform(0.1, 0.4)
        at_s += generator.uniform(0.5, 1.5)
    return _levelled(sound + 0.02 * generator.standard_normal(len(sound)), 0.03)


KINDS: dict[str, Callable[[float, int], Sound]] = {
    kind.__name__: kind for kind in (fan, keyboard, pink_noise, hum, tones, melody, coughs, breath)
}


def _times_s(duration_s: float) -> NDArray[np.float64]:
    return np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ


def _empty(duration_s: float) -> NDArray[np.float64]:
    return np.zeros(round(duration_s * SAMPLE_RATE_HZ))


def _coloured(
    generator: np.random.Generator, duration_s: float, gain: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Noise with a gain for each frequency."""
    white = generator.standard_normal(round(duration_s * SAMPLE_RATE_HZ))
    frequencies_hz = np.fft.rfftfreq(len(white), 1 / SAMPLE_RATE_HZ)
    return np.fft.irfft(np.fft.rfft(white) * gain(frequencies_hz), len(white))


def _band(generator: np.random.Generator, duration_s: float, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Noise between two frequencies, with an RMS of 1."""
    band = _coloured(generator, duration_s, lambda hz: ((hz >= low_hz) & (hz <= high_hz)).astype(float))
    return band / max(float(np.sqrt(np.mean(band**2))), 1e-9)


def _burst(
    generator: np.random.Generator, duration_s: float, *, attack_s: float, low_hz: float, high_hz: float
) -> NDArray[np.float64]:
    """Noise that starts at once and decays."""
    times_s = _times_s(duration_s)
    envelope = np.minimum(times_s / attack_s, 1) * np.exp(-4 * times_s / duration_s)
    return _band(generator, duration_s, low_hz, high_hz) * envelope


def _edges(length_samples: int, ramp_s: float) -> NDArray[np.float64]:
    """A gain that rises at the start and falls at the end."""
    places = np.arange(length_samples)
    return np.clip(np.minimum(places, places[::-1]) / (ramp_s * SAMPLE_RATE_HZ), 0, 1)


def _lay(sound: NDArray[np.float64], at_s: float, part: NDArray[np.float64]) -> None:
    """Add a part to a sound in place; what lies beyond its end is dropped."""
    start = round(at_s * SAMPLE_RATE_HZ)
    room = max(len(sound) - start, 0)
    sound[start : start + len(part)] += part[:room]


def _levelled(sound: NDArray[np.float64], rms: float) -> Sound:
    return np.clip(sound * rms / np.sqrt(np.mean(sound**2)), -1, 1).astype(np.float32)


def _peaked(sound: NDArray[np.float64], peak: float) -> Sound:
    return (sound * peak / np.abs(sound).max()).astype(np.float32)
