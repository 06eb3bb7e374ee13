"""Spoken sequences of a closed vocabulary in which every word's first and last sample are known.

The same arguments give the same scene. Words that the tiny checkpoint was trained with (`Renditions.TRAINING`) and
those it never heard (`Renditions.HELD_OUT`, the default) differ in speed and pitch. Knows nothing about models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

import numpy as np
import soxr
from numpy.typing import NDArray

from tests.speech import SAMPLE_RATE_HZ, music, synthesise

Pcm = NDArray[np.float32]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COMMANDS = ("start", "stop", "left", "right", "up", "down", "yes", "no", "open", "close", "play", "pause")
WORDS = DIGITS + COMMANDS

SPOKEN_ABOVE_DB = -28.0  # softer than this against its loudest 10 ms, a word has ended
MARGIN_SAMPLES = 800  # kept around a word, so that it fades as it was spoken; gaps are at least twice this
SHAPES = ("{}", "{}.", "{}?", "{}!", "{},")


class Renditions(Enum):
    """Which ways of saying a word: (speeds, pitches, seed). No speed or pitch is in both."""

    TRAINING = ((0.74, 0.82, 0.9, 0.97, 1.04, 1.12, 1.2, 1.3), (0.87, 0.92, 0.97, 1.02, 1.07, 1.13), 1)
    HELD_OUT = ((0.78, 0.86, 0.94, 1.0, 1.08, 1.16, 1.25), (0.9, 0.95, 1.0, 1.05, 1.1), 2)


@dataclass(frozen=True)
class Word:
    """A word and where it sounds: samples at 16 kHz, the end is that after its last."""

    text: str
    start_samples: int
    end_samples: int


@dataclass(frozen=True)
class Scene:
    """Mono audio `[samples]` at 16 kHz, within ±1, and the words in it in order."""

    audio: Pcm
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True)
class Rendition:
    """One way of saying a word, with `MARGIN_SAMPLES` around it: it sounds from `start` to before `end`, in samples."""

    audio: Pcm
    start: int
    end: int


def scene(
    seed: int = 0,
    words: int | Sequence[str] = 6,
    *,
    gap_s: tuple[float, float] = (0.1, 1.2),
    lead_s: float = 0.5,
    trail_s: float = 0.5,
    snr_db: float | None = 30.0,
    gain_db: float = 0.0,
    renditions: Renditions = Renditions.HELD_OUT,
) -> Scene:
    """Speak `words` (so many of `WORDS`, or just these) with pauses of `gap_s`, uniform between two bounds.

    `snr_db` is the speech's power over that of the noise (white or pink, by the seed) that lasts all along; None is
    digital silence between the words. At 0 dB gain, words peak at about 0.2.
    """
    generator = np.random.default_rng(seed)
    texts = [WORDS[i] for i in generator.integers(len(WORDS), size=words)] if isinstance(words, int) else list(words)
    said = [any_rendition(text, generator, renditions) for text in texts]
    starts = []
    at = round(lead_s * SAMPLE_RATE_HZ)
    for one in said:
        starts.append(at)
        at += one.end - one.start + round(generator.uniform(*gap_s) * SAMPLE_RATE_HZ)
    last_end = starts[-1] + said[-1].end - said[-1].start if said else at
    audio, placed = place(texts, said, starts, last_end + round(trail_s * SAMPLE_RATE_HZ))
    if snr_db is not None:
        kind = ("white", "pink")[generator.integers(2)]
        audio += background(kind, len(audio), generator) * speech_rms(audio, placed) * 10 ** (-snr_db / 20)
    return Scene(np.clip(audio * np.float32(10 ** (gain_db / 20)), -1, 1), placed)


def any_rendition(word: str, generator: np.random.Generator, renditions: Renditions) -> Rendition:
    """One of the ways of saying the word."""
    speeds, pitches, seed = renditions.value
    shape = SHAPES[generator.integers(len(SHAPES))]
    speed, pitch = speeds[generator.integers(len(speeds))], pitches[generator.integers(len(pitches))]
    return _rendition(word, shape, speed, pitch, seed)


def place(
    texts: Sequence[str], said: Sequence[Rendition], starts: Sequence[int], samples: int
) -> tuple[Pcm, tuple[Word, ...]]:
    """Lay the renditions out so that each sounds from its start on; what is beyond `samples` is cut."""
    audio = np.zeros(samples, np.float32)
    for one, start in zip(said, starts, strict=True):
        first = start - one.start
        skipped = max(0, -first)
        part = one.audio[skipped : max(skipped, samples - first)]
        audio[first + skipped : first + skipped + len(part)] += part
    words = zip(texts, said, starts, strict=True)
    return audio, tuple(Word(text, start, start + one.end - one.start) for text, one, start in words)


def speech_rms(audio: Pcm, words: Sequence[Word]) -> float:
    """The level of the words without the pauses between them; that of ordinary speech where there are none."""
    if not words:
        return 0.05
    power = [np.mean(np.square(audio[word.start_samples : word.end_samples])) for word in words]
    return float(np.sqrt(np.mean(power)))


def background(kind: str, samples: int, generator: np.random.Generator) -> Pcm:
    """A part of the background sound of that kind (see `BACKGROUNDS`), `[samples]`, with an RMS of about 1."""
    whole = _background(kind)
    return whole[(generator.integers(len(whole)) + np.arange(samples)) % len(whole)]


BACKGROUNDS = ("white", "pink", "brown", "hum", "breath", "music")


@cache
def _background(kind: str) -> Pcm:
    """Half a minute that may be repeated."""
    samples = 30 * SAMPLE_RATE_HZ
    generator = np.random.default_rng(BACKGROUNDS.index(kind))
    white = generator.standard_normal(samples)
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    if kind == "white":
        sound = white
    elif kind in ("pink", "brown"):
        spectrum = np.fft.rfft(white)
        rising = np.maximum(np.arange(len(spectrum)), 30 * samples / SAMPLE_RATE_HZ)  # flat below 30 Hz
        sound = np.fft.irfft(spectrum / rising ** (0.5 if kind == "pink" else 1.0), samples)
    elif kind == "hum":
        sound = sum(np.sin(2 * np.pi * 50 * k * time_s + k) / k for k in range(1, 12)) + 0.05 * white
    elif kind == "breath":  # unvoiced puffs of 100 to 600 ms
        spectrum = np.fft.rfft(white)
        hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
        sound = np.fft.irfft(spectrum * np.exp(-(((hz - 2500) / 1500) ** 2)), samples)
        knots = np.arange(0, 30, 0.15)
        sound *= np.interp(time_s, knots, np.maximum(generator.standard_normal(len(knots)), 0))
    else:
        sound = music(30, seed=3)
    return (sound / np.sqrt(np.mean(np.square(sound)))).astype(np.float32)


@cache
def _rendition(word: str, shape: str, speed: float, pitch: float, seed: int) -> Rendition:
    text = shape.format(word if shape == "{}" else word.capitalize())
    spoken = synthesise(text, seed=seed, speed=speed)
    spoken = np.asarray(soxr.resample(spoken, pitch, 1.0), np.float32) if pitch != 1 else spoken
    padded = np.pad(spoken, MARGIN_SAMPLES)
    power = np.convolve(np.square(padded), np.ones(160, np.float32) / 160, "same")
    sounding = np.flatnonzero(power > power.max() * 10 ** (SPOKEN_ABOVE_DB / 10))
    start, end = int(sounding[0]), int(sounding[-1]) + 1
    fade = np.minimum(1, np.arange(MARGIN_SAMPLES, dtype=np.float32) / (MARGIN_SAMPLES // 4))
    audio = padded[start - MARGIN_SAMPLES : end + MARGIN_SAMPLES].copy()
    audio[:MARGIN_SAMPLES] *= fade
    audio[-MARGIN_SAMPLES:] *= fade[::-1]
    return Rendition(audio, MARGIN_SAMPLES, MARGIN_SAMPLES + end - start)
