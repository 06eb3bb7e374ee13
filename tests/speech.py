"""Speech and other sound for tests and benchmarks, the same on every run.

English is synthesised by hibari-tts (a natural voice inside its wheel, seeded); other languages by espeak-ng, if it is
installed. Waveforms are cached as WAV files (`tests.cache`), so only a first run takes time. Knows nothing about what
is tested with it.
"""

import hashlib
import os
import shutil
import subprocess
import wave
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from tests.cache import cache_folder

SAMPLE_RATE_HZ = 16_000

SENTENCES: tuple[str, ...] = (
    "The morning train leaves the station at seven and arrives in the city before nine.",
    "Please remember to water the plants in the kitchen while we are away.",
    "She opened the window because the room had become very warm.",
    "Our teacher explained how rivers shape the valleys over thousands of years.",
    "I would like a cup of tea with a little milk and no sugar.",
    "The museum is closed on Monday, but the garden behind it stays open.",
    "They walked along the beach until the sun went down behind the hills.",
    "A good answer is short, honest, and easy to understand.",
    "The doctor asked him to rest for a week and to drink plenty of water.",
    "We finally found the old map in a box under the stairs.",
    "If it rains tomorrow, the children will play inside the large hall.",
    "The company has decided to build a new bridge across the river.",
    "My brother plays the violin, and my sister sings in a choir.",
    "Nobody knew who had left the heavy parcel in front of the door.",
    "The weather forecast promises clear skies and a gentle wind from the west.",
    "He spent the whole afternoon repairing the engine of his motorcycle.",
    "The library lends books, films, and even musical instruments.",
    "Could you tell me which road leads to the nearest hospital?",
    "After dinner they sat around the fire and told stories about the war.",
    "The price of bread has gone up again, which surprised no one.",
    "In winter the lake freezes, and people skate on it every weekend.",
    "The pilot announced that the plane would land a few minutes early.",
    "Scientists measured the temperature of the ocean at different depths.",
    "There is a small bakery on the corner that sells excellent apple cake.",
    "The meeting was moved to Thursday because the manager is travelling.",
    "You should always read a contract before you put your name under it.",
    "Bright yellow flowers were growing between the stones of the path.",
    "The dog waited patiently at the gate until its owner came home.",
    "Most people agree that a quiet night is worth more than a loud party.",
    "He wrote a long letter to his grandmother and posted it the same day.",
    "The engineers tested the machine for several hours without finding a fault.",
    "At the end of the concert the audience stood up and clapped.",
    "Our neighbours are painting their house green with white window frames.",
    "The ship was carrying coffee, cotton, and timber to the northern harbour.",
    "It takes about twenty minutes to walk from the school to the market.",
    "The farmer sold his horses and bought a second hand tractor instead.",
    "Every language has words that are difficult to translate.",
    "The lights went out suddenly, and the whole street was dark.",
    "They have been married for thirty years and still laugh at the same jokes.",
    "The judge listened carefully to both sides before she made a decision.",
)
"""About three minutes of speech without digits or rare names, so that a reference needs no number rules."""


def synthesise(text: str, seed: int = 0, sample_rate: int = SAMPLE_RATE_HZ, speed: float = 1.0) -> NDArray[np.float32]:
    """English speech, `[samples]`, within ±1. The same arguments give the same samples."""
    path = _cached("hibari", text, str(seed), str(sample_rate), str(speed))
    if not path.exists():
        pcm = _voice()(text, seed=seed, speed=speed)
        _write_wav(path, _resampled(np.asarray(pcm, np.float32), 24_000, sample_rate), sample_rate)
    return _read_wav(path.read_bytes())[0]


def spoken(text: str, language: str, sample_rate: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """Speech by espeak-ng in the language of an ISO 639-1 code, `[samples]`. See `can_speak`."""
    path = _cached("espeak", text, language, str(sample_rate))
    if not path.exists():
        command = ["espeak-ng", "-v", language, "-s", "150", "--stdout", text]
        wav = subprocess.run(command, check=True, capture_output=True).stdout
        pcm, rate_hz = _read_wav(wav)
        _write_wav(path, _resampled(pcm, rate_hz, sample_rate), sample_rate)
    return _read_wav(path.read_bytes())[0]


def can_speak() -> bool:
    """Whether `spoken` works on this machine."""
    return shutil.which("espeak-ng") is not None


def conversation(seed: int = 0, pause_s: float = 0.8, sentences: tuple[str, ...] = SENTENCES) -> NDArray[np.float32]:
    """The sentences one after the other with pauses of about `pause_s` between them, `[samples]` at 16 kHz."""
    generator = np.random.default_rng(seed)
    parts: list[NDArray[np.float32]] = [silence(0.5)]
    for sentence in sentences:
        parts += [synthesise(sentence, seed=seed), silence(pause_s * generator.uniform(0.6, 1.4))]
    return np.concatenate(parts)


def silence(duration_s: float) -> NDArray[np.float32]:
    """Digital silence, `[samples]`."""
    return np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.float32)


def noise(duration_s: float, level: float = 0.05, seed: int = 0) -> NDArray[np.float32]:
    """White noise with the given RMS, `[samples]`."""
    samples = np.random.default_rng(seed).standard_normal(round(duration_s * SAMPLE_RATE_HZ))
    return np.clip(samples * level, -1, 1).astype(np.float32)


def telephone(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """The audio as a telephone line passes it on: band-limited, and in 8-bit µ-law."""
    spectrum = np.fft.rfft(pcm)
    hz = np.fft.rfftfreq(len(pcm), 1 / SAMPLE_RATE_HZ)
    spectrum[(hz < 300) | (hz > 3400)] = 0
    narrow = np.fft.irfft(spectrum, len(pcm))
    narrow = np.clip(narrow / max(1.0, float(np.abs(narrow).max())), -1, 1)
    curve = np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log1p(255)
    coarse = np.round(curve * 127) / 127
    restored = np.sign(coarse) * (256 ** np.abs(coarse) - 1) / 255
    return np.asarray(soxr.resample(soxr.resample(restored, SAMPLE_RATE_HZ, 8000), 8000, SAMPLE_RATE_HZ), np.float32)


def music(duration_s: float, level: float = 0.2, seed: int = 0) -> NDArray[np.float32]:
    """Plucked chords with overtones that change twice a second, `[samples]`."""
    generator = np.random.default_rng(seed)
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    beat = (time_s * 2).astype(int)
    roots_hz = 110 * 2 ** (generator.choice([0, 3, 5, 7, 10, 12], beat.max() + 1) / 12)
    decay = np.exp(-3 * (time_s * 2 - beat))
    chord = np.zeros_like(time_s)
    for interval in (1.0, 5 / 4, 3 / 2, 2.0):
        for overtone in range(1, 5):
            chord += np.sin(2 * np.pi * roots_hz[beat] * interval * overtone * time_s) / overtone**1.5
    return (level * decay * chord / np.abs(chord).max()).astype(np.float32)


@cache
def _voice() -> Any:
    from hibari import Hibari

    return Hibari(threads=1)


def _cached(*key: str) -> Path:
    return cache_folder() / f"{hashlib.sha256(chr(0).join(key).encode()).hexdigest()[:24]}.wav"


def _resampled(pcm: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    return pcm if from_hz == to_hz else np.asarray(soxr.resample(pcm, from_hz, to_hz), np.float32)


def _write_wav(path: Path, pcm: NDArray[np.float32], rate_hz: int) -> None:
    """Atomic, since tests may run in parallel."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    with wave.open(str(unfinished), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(pcm, -1, 1) * 32767).astype("<i2").tobytes())
    unfinished.replace(path)


def _read_wav(content: bytes) -> tuple[NDArray[np.float32], int]:
    """Samples and rate. A WAV written to a pipe (espeak-ng) declares a wrong length: read all that exists."""
    with wave.open(BytesIO(content), "rb") as file:
        frames = file.readframes(len(content) // 2)
        return np.frombuffer(frames, "<i2").astype(np.float32) / 32768, file.getframerate()
