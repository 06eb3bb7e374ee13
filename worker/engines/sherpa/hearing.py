"""One stretch of speech in a stream of the recognizer: what it was fed, how far it is, and what it said.

Each stretch has a fresh stream, so that what is said of it depends on nothing before it. Positions are samples of the
session.
"""

from typing import Final

import numpy as np

from shared.events import SAMPLE_RATE_HZ
from worker.engines.sherpa.recognizer import HOP_SAMPLES, Recognizer, end, feed
from worker.engines.sherpa.spelling import Piece, Spelling
from worker.engines.speech.audio_buffer import AudioBuffer

DELAY_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""A model may write a word so long after it was spoken."""


class Hearing:
    def __init__(self, recognizer: Recognizer, start_samples: int, *, marks_words: bool) -> None:
        self._recognizer = recognizer
        self.start_samples = start_samples
        self.stream = recognizer.open_stream()
        self._fed_samples = start_samples
        self._passes = 0
        self._ended = False
        self._spelling = Spelling(start_samples, marks_words=marks_words)

    @property
    def is_ready(self) -> bool:
        """Whether a pass over the stream is possible."""
        return self._recognizer.is_ready(self.stream)

    @property
    def heard_samples(self) -> int:
        """What was said rests on audio before this position and none after."""
        if not self._passes:
            return self.start_samples
        return min(self._fed_samples, self._window_start_samples + self._recognizer.window_samples)

    @property
    def needed_from_samples(self) -> int:
        """Audio before it will not be asked for, here or by a stretch that begins where this one has a word."""
        reach = self._recognizer.window_samples + 2 * self._recognizer.shift_samples + SAMPLE_RATE_HZ
        return max(self.start_samples, self._fed_samples - reach)

    def feed(self, audio: AudioBuffer, end_samples: int, *, is_all: bool) -> None:
        """Give the stream what its next pass needs, if there is so much before `end_samples`.

        Unless that `is_all` that comes, whole hops only: what a pass has heard must not depend on how audio came.
        """
        if not is_all:
            end_samples -= (end_samples - self.start_samples) % HOP_SAMPLES
        while self._fed_samples < end_samples and not self.is_ready:
            after = min(end_samples, self._fed_samples + self._recognizer.shift_samples)
            feed(self.stream, audio.between(self._fed_samples, after))
            self._fed_samples = after

    def end(self, quiet_samples: int) -> None:
        """All audio was fed, and its last `quiet_samples` are silence: let the model say what it holds back.

        A pass looks one window ahead, so that a window of silence brings every sample through; the rest is for words
        that are written late. Further calls have no effect.
        """
        if not self._ended:
            self._ended = True
            tail_samples = self._recognizer.window_samples + max(0, DELAY_SAMPLES - quiet_samples)
            feed(self.stream, np.zeros(tail_samples, np.float32))
            end(self.stream)

    def take(self) -> list[Piece]:
        """What a pass over the stream has brought."""
        self._passes += 1
        first_samples = min(self._window_start_samples, self._fed_samples)
        return self._spelling.hear(self._recognizer.said(self.stream), first_samples, self.heard_samples)

    @property
    def _window_start_samples(self) -> int:
        """Where the window of the last pass begins."""
        return self.start_samples + (self._passes - 1) * self._recognizer.shift_samples
