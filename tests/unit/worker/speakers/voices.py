"""Embeddings and windows for tests of the speakers, without a model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from worker.speakers.labelling import Embedded
from worker.speakers.sizes import LENGTH_SAMPLES, STEP_SAMPLES

Floats = NDArray[np.float32]


def voice(number: int, *, noise: float = 0.4, seed: int = 0) -> Floats:
    """A unit vector of one speaker; `seed` chooses one of its many. Vectors of two speakers are about 0.35 similar."""
    chance = np.random.default_rng(1000 * number + seed + 1)
    common = np.ones(64) / 8
    own = np.zeros(64)
    own[number] = 1.0
    vector = 0.6 * common + own + noise * chance.standard_normal(64) / 8
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def windows(speakers: Sequence[int], start_samples: int = 0) -> list[Embedded]:
    """One window for each number, every 0.4 s. A negative number is a mixture of the speakers around it."""
    found = []
    for at, number in enumerate(speakers):
        start = start_samples + at * STEP_SAMPLES
        if number < 0:
            mixed = voice(speakers[at - 1], seed=at) + voice(speakers[at + 1], seed=at)
            vector = np.asarray(mixed / np.linalg.norm(mixed), np.float32)
        else:
            vector = voice(number, seed=at + start_samples)
        found.append(Embedded(start, start + LENGTH_SAMPLES, vector))
    return found


def tone(seconds: float, hz: float = 220.0) -> Floats:
    """A buzz with overtones, which is louder than anything in it is quiet."""
    at = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return np.asarray(0.1 * np.sign(np.sin(2 * np.pi * hz * at)), np.float32)
