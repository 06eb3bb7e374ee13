"""The audio of one session and the segments of speech in it, for engines that wait for endpoints.

Feeds, commits and the end of the audio take effect in the order in which they arrived. Knows no model: the caller
provides speech probabilities.
"""

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from worker.engines.base import Committed
from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.speech.segmenter import Boundary, Segmenter, SegmenterSettings
from worker.engines.speech.vad import WINDOW_SAMPLES, VadState, peaks


class Endpointing:
    """Audio waits here until the VAD has processed it and the segmenter has turned it into boundaries."""

    def __init__(self, settings: SegmenterSettings, start_samples: int) -> None:
        self.audio = AudioBuffer(start_samples)
        self.vad_state = VadState()
        self.segmenter = Segmenter(settings, start_samples)
        self.finished = False
        """All audio before `finish` has been processed; no more boundaries follow."""
        self._commits_samples: deque[int] = deque()
        self._finishing = False
        self._is_primed = False

    def commit(self) -> None:
        self._commits_samples.append(self.audio.end_samples)

    def finish(self) -> None:
        if not self._finishing:
            self._finishing = True
            self.commit()

    @property
    def waits_for_more(self) -> bool:
        """Whether more audio may follow, and no commit or finish requests an answer now."""
        return not (self._finishing or self._commits_samples)

    def has_unheard(self) -> bool:
        if self.finished:
            return False
        return bool(self._commits_samples) or self.audio.end_samples - self.segmenter.position_samples >= WINDOW_SAMPLES

    def unheard(self, limit_windows: int) -> NDArray[np.float32]:
        """The next whole windows for the VAD, up to the next commit; an incomplete window before it is skipped."""
        start = self.segmenter.position_samples
        end = self._commits_samples[0] if self._commits_samples else self.audio.end_samples
        windows = min((end - start) // WINDOW_SAMPLES, limit_windows)
        if windows > 0 and not self._is_primed:
            self._is_primed = True
            # The level of the session is known from audio that a former owner processed.
            self.vad_state.levels.hear(peaks(self.audio.between(self.audio.start_samples, start)))
        return self.audio.between(start, start + windows * WINDOW_SAMPLES) if windows > 0 else np.empty(0, np.float32)

    def ahead(self, heard: int, limit_windows: int) -> NDArray[np.float32]:
        """The audio after the next `heard` samples, at most `limit_windows`."""
        start = self.segmenter.position_samples + heard
        return self.audio.between(start, min(self.audio.end_samples, start + limit_windows * WINDOW_SAMPLES))

    def hear(self, probabilities: NDArray[np.float32]) -> Iterator[Boundary | Committed]:
        """The boundaries from the speech probabilities of the audio of `unheard`, and the commits among them."""
        for probability in probabilities:
            yield from self.segmenter.push(float(probability))
        if self._commits_samples and self._commits_samples[0] - self.segmenter.position_samples < WINDOW_SAMPLES:
            at_samples = self._commits_samples.popleft()
            yield from self.segmenter.commit(at_samples)
            self.finished = self._finishing and not self._commits_samples
            if not self.finished:
                yield Committed(at_samples)

    def forget_before(self, position_samples: int) -> None:
        """Drop audio that is no longer needed. One incomplete window may begin before a commit."""
        self.audio.forget_before(min(position_samples, self.segmenter.position_samples))
