"""One part of a session in a stream of the recognizer: what it was fed, its position, and its text.

Each part has a fresh stream, so that its text depends on nothing before it. Positions are samples of the
session.
"""

from typing import Final

import numpy as np

from shared.events import SAMPLE_RATE_HZ
from worker.engines.sherpa.recognizer import HOP_SAMPLES, Recognizer, end, feed
from worker.engines.sherpa.spelling import Piece, Spelling
from worker.engines.speech.audio_buffer import AudioBuffer

DELAY_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""The longest time between a word and the model's output of it."""


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
        """The text is based only on audio before this position."""
        if not self._passes:
            return self.start_samples
        return min(self._fed_samples, self._window_start_samples + self._recognizer.window_samples)

    @property
    def needed_from_samples(self) -> int:
        """Audio before it is not needed any more, by this part or by one that begins at a word of this part."""
        reach = self._recognizer.window_samples + 2 * self._recognizer.shift_samples + SAMPLE_RATE_HZ
        return max(self.start_samples, self._fed_samples - reach)

    def feed(self, audio: AudioBuffer, end_samples: int, *, is_all: bool) -> None:
        """Give the stream what its next pass needs, if there is enough audio before `end_samples`.

        Unless that `is_all`, only whole hops: the input of a pass must not depend on how the audio was chunked.
        """
        if not is_all:
            end_samples -= (end_samples - self.start_samples) % HOP_SAMPLES
        while self._fed_samples < end_samples and not self.is_ready:
            after = min(end_samples, self._fed_samples + self._recognizer.shift_samples)
            feed(self.stream, audio.between(self._fed_samples, after))
            self._fed_samples = after

    def end(self, quiet_samples: int) -> None:
        """All audio was fed, and its last `quiet_samples` are silence: flush the model's pending text.

        A pass looks one window ahead, so that a window of silence flushes every sample; further silence is for words
        that are written late. Further calls have no effect.
        """
        if not self._ended:
            self._ended = True
            tail_samples = self._recognizer.window_samples + max(0, DELAY_SAMPLES - quiet_samples)
            feed(self.stream, np.zeros(tail_samples, np.float32))
            end(self.stream)

    def take(self) -> list[Piece]:
        """The new pieces of text after a pass over the stream."""
        self._passes += 1
        first_samples = min(self._window_start_samples, self._fed_samples)
        return self._spelling.hear(self._recognizer.said(self.stream), first_samples, self.heard_samples)

    @property
    def _window_start_samples(self) -> int:
        """Where the window of the last pass begins."""
        return self.start_samples + (self._passes - 1) * self._recognizer.shift_samples
