"""Tasks and answers of a second model."""

import numpy as np

from shared.events import SAMPLE_RATE_HZ, Scores, Word
from shared.session_options import SessionOptions
from worker.second_pass.backlog import Task
from worker.second_pass.second_pass import Answer


def task(handle: str = "s1/1", index: int = 0, length_s: float = 1.0) -> Task:
    pcm = np.zeros(round(length_s * SAMPLE_RATE_HZ), np.int16)
    return Task(handle, index, pcm, 0, 0, None, SessionOptions())


def answer(text: str, language: str | None = "en") -> Answer:
    words = tuple(Word(word, 100 * at, 100 * at + 100, 0.5) for at, word in enumerate(text.split()))
    return Answer(text, words, language, Scores(0.5, -0.25, 0.125))
