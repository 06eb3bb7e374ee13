"""Random sequences to train on: words in pauses of all lengths, at all levels, in noise, and noise without words.

Each row of a batch has a delay and a left pad of its own; all rows have the same number of positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from tests.speech import SAMPLE_RATE_HZ
from tests.tiny.alignment import DRAIN_TOKENS, FRAME_SAMPLES, prompt, targets
from tests.tiny.scenes import BACKGROUNDS, WORDS, Pcm, Renditions, Word, any_rendition, background, place, speech_rms
from tests.tiny.vocabulary import LEFT_PAD_TOKENS

DELAYS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 15, 30)  # positions of 80 ms
DELAY_SHARES = (0.05, 0.11, 0.16, 0.1, 0.08, 0.16, 0.05, 0.07, 0.07, 0.07, 0.08)


@dataclass(frozen=True)
class Lesson:
    """A batch. Position i sees `inputs[i]` and should say `said[i]`, or anything where that is −1."""

    audio: Pcm  # [rows, positions × 1280], left pad and silence at the end included
    inputs: NDArray[np.int64]  # [rows, positions]
    said: NDArray[np.int64]  # [rows, positions]
    delays: NDArray[np.int64]  # [rows], positions


def lesson(generator: np.random.Generator, rows: int, positions: int) -> Lesson:
    """A random batch."""
    parts = [_row(generator, positions) for _ in range(rows)]
    audio, inputs, said, delays = (np.stack([part[i] for part in parts]) for i in range(4))
    return Lesson(audio, inputs, said, delays)


def _row(generator: np.random.Generator, positions: int) -> tuple[Pcm, NDArray, NDArray, NDArray]:
    delay = int(generator.choice(DELAYS, p=DELAY_SHARES))
    left_pad = LEFT_PAD_TOKENS if generator.random() < 0.8 else int(generator.integers(0, 40))
    start = prompt(delay, left_pad)
    is_whole = generator.random() < (0.6 if delay <= 8 else 0.15)  # else it is cut off, as a live session is
    tail_tokens = delay + DRAIN_TOKENS if is_whole else 0
    sound, words = _sound(generator, (positions - left_pad - tail_tokens) * FRAME_SAMPLES)
    audio = np.zeros(positions * FRAME_SAMPLES, np.float32)
    audio[left_pad * FRAME_SAMPLES :][: len(sound)] = sound
    answer = targets(words, positions - len(start) + 1)
    said = [-1] * (len(start) - 1) + answer
    return audio, np.array(start + answer[:-1]), np.array(said), np.array(delay)


def _sound(generator: np.random.Generator, samples: int) -> tuple[Pcm, tuple[Word, ...]]:
    """`[samples]` of speech and background, and the words in it."""
    wordless = generator.random() < 0.08
    audio, words = place([], [], [], samples) if wordless else _speech(generator, samples)
    rms = speech_rms(audio, words)
    kind = generator.random()
    if kind < 0.75:
        snr_db = generator.uniform(-10, 45) if wordless else generator.uniform(8, 40)
        audio += _background(generator, samples) * np.float32(rms * 10 ** (-snr_db / 20))
    audio *= np.float32(10 ** (generator.uniform(-18, 9) / 20))
    if generator.random() < 0.15:  # telephone band
        narrow = soxr.resample(audio, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ // 2)
        audio = np.resize(np.asarray(soxr.resample(narrow, SAMPLE_RATE_HZ // 2, SAMPLE_RATE_HZ), np.float32), samples)
    if generator.random() < 0.5:  # as a microphone gives it
        audio = np.round(audio * 32768) / np.float32(32768)
    return np.clip(audio, -1, 1), words


def _speech(generator: np.random.Generator, samples: int) -> tuple[Pcm, tuple[Word, ...]]:
    """Words up to the end, or to a long silence there; each is whole."""
    last_end = samples * (1.0 if generator.random() < 0.5 else generator.uniform(0.3, 1.0))
    texts, said, starts = [], [], []
    at = int(generator.choice([0.0, generator.uniform(0, 0.3), generator.uniform(0.3, 2)]) * SAMPLE_RATE_HZ)
    pace = generator.choice([_any_gap_s, _short_gap_s], p=[0.8, 0.2])
    while True:
        text = WORDS[generator.integers(len(WORDS))]
        one = any_rendition(text, generator, Renditions.TRAINING)
        if at + one.end - one.start > last_end:
            return _levelled(generator, texts, said, starts, samples)
        texts.append(text)
        said.append(one)
        starts.append(at)
        at += one.end - one.start + round(pace(generator) * SAMPLE_RATE_HZ)


def _levelled(
    generator: np.random.Generator, texts: Sequence[str], said: Sequence, starts: Sequence[int], samples: int
) -> tuple[Pcm, tuple[Word, ...]]:
    """Place the words, each up to 4 dB louder or softer than the others."""
    audio, words = place(texts, said, starts, samples)
    if words:
        middles = [(word.start_samples + word.end_samples) / 2 for word in words]
        gains_db = generator.uniform(-4, 4, len(words))
        audio *= np.float32(10) ** (np.interp(np.arange(samples), middles, gains_db) / 20).astype(np.float32)
    return audio, words


def _any_gap_s(generator: np.random.Generator) -> float:
    low, high = ((0.1, 0.15), (0.15, 0.6), (0.6, 3.0))[generator.choice(3, p=[0.3, 0.45, 0.25])]
    return generator.uniform(low, high)


def _short_gap_s(generator: np.random.Generator) -> float:
    return generator.uniform(0.1, 0.2)


def _background(generator: np.random.Generator, samples: int) -> Pcm:
    """One or two kinds, steady or coming and going, `[samples]`."""
    shares = (0.35, 0.25, 0.1, 0.1, 0.1, 0.1)
    sound = background(generator.choice(BACKGROUNDS, p=shares), samples, generator)
    if generator.random() < 0.2:
        sound = (sound + background(generator.choice(BACKGROUNDS, p=shares), samples, generator)) / np.float32(1.4)
    if generator.random() < 0.3:
        knots = generator.uniform(0, 1, 2 + samples // SAMPLE_RATE_HZ)
        sound = sound * np.interp(np.linspace(0, len(knots) - 1, samples), np.arange(len(knots)), knots)
    return sound.astype(np.float32)
