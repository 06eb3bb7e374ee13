"""The audio of one session and the segments of speech in it, for engines that wait for endpoints.

Feeds, commits and the end of the audio take effect in the order in which they arrived. The caller provides the VAD, or
its speech probabilities.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from shared.turn_detection import TurnDetection
from worker.engines.base import Committed, Finished
from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.speech.boundaries import Found, Question, SegmenterSettings
from worker.engines.speech.segmenter import Segmenter
from worker.engines.speech.turn_settings import turn_settings
from worker.engines.speech.vad import WINDOW_SAMPLES, SileroVad, VadState, peaks
from worker.turns.judge import TurnJudge


class Endpointing:
    """Audio waits here until the VAD has processed it and the segmenter has turned it into boundaries.

    With semantic turn detection it also waits for the answer to each question of the segmenter, so that the boundaries
    do not depend on when that comes.
    """

    def __init__(
        self,
        settings: SegmenterSettings,
        start_samples: int,
        detection: TurnDetection | None = None,
        judge: TurnJudge | None = None,
    ) -> None:
        """`settings` are the engine's own, which `detection` changes; `judge` answers questions about turns."""
        self._own_settings = settings
        self._judge = judge
        self._answer: Future[float | None] | None = None
        self.detection = self._wanted = detection
        """The rule for the ends of turns that applies now."""
        settings = turn_settings(settings, detection)
        self.audio = AudioBuffer(start_samples)
        self.vad_state = VadState()
        self.segmenter = Segmenter(settings, start_samples)
        if settings.turn_rule is not None and judge is not None:
            judge.prepare()
        self.finished = False
        """All audio before `finish` has been processed: `Finished` was the last finding."""
        self._commits_samples: deque[int] = deque()
        self._finishing = False
        self._is_primed = False

    def configure(self, detection: TurnDetection | None) -> None:
        """Use this from the next segment on."""
        self._wanted = detection

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
        if self._answer is not None:
            return self._answer.done()
        return bool(self._commits_samples) or self.audio.end_samples - self.segmenter.position_samples >= WINDOW_SAMPLES

    def unheard(self, limit_windows: int) -> NDArray[np.float32]:
        """The next whole windows for the VAD, up to the next commit; an incomplete window before it is skipped.

        None of them come after a question, so there may be fewer than `limit_windows` although more are available.
        """
        if self._answer is not None:
            return np.empty(0, np.float32)
        self._apply_wanted()
        free = self.segmenter.free_windows
        limit_windows = limit_windows if free is None else min(limit_windows, free)
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

    def listen(self, vad: SileroVad, limit_windows: int) -> Iterator[Found | Committed | Finished]:
        """The findings of `hear` in the unheard audio, of which at most so many windows are processed."""
        limit_samples = self.segmenter.position_samples + limit_windows * WINDOW_SAMPLES
        while self.has_unheard() and self.segmenter.position_samples < limit_samples:
            pcm = self.unheard(limit_windows)
            yield from self.hear(vad.probabilities(self.vad_state, pcm))

    def hear(self, probabilities: NDArray[np.float32]) -> Iterator[Found | Committed | Finished]:
        """The boundaries from the speech probabilities of the audio of `unheard`, the commits among them, and the end.

        They must all be taken.
        """
        if self._answer is not None:
            answer, self._answer = self._answer.result(), None
            yield from self.segmenter.judge(answer)
        for probability in probabilities:
            yield from self.segmenter.push(float(probability))
        if self.segmenter.question is not None:
            if self._judge is not None:
                self._answer = self._judge.ask(self._asked_audio(self.segmenter.question, self._judge.heard_samples))
                return
            yield from self.segmenter.judge(None)
        if self._commits_samples and self._commits_samples[0] - self.segmenter.position_samples < WINDOW_SAMPLES:
            at_samples = self._commits_samples.popleft()
            yield from self.segmenter.commit(at_samples)
            self.finished = self._finishing and not self._commits_samples
            yield Finished() if self.finished else Committed(at_samples)

    def forget_before(self, position_samples: int) -> None:
        """Drop audio that is no longer needed. One incomplete window may begin before a commit."""
        needed = self.segmenter.position_samples
        if self.segmenter.settings.turn_rule is not None and self._judge is not None:
            asked = max(self.segmenter.asked_from_samples, needed - self._judge.heard_samples)
            needed = min(needed, asked)
        self.audio.forget_before(min(position_samples, needed))

    def _apply_wanted(self) -> None:
        if self._wanted is not self.detection and self.segmenter.start_samples is None:
            self.detection = self._wanted
            self.segmenter.configure(turn_settings(self._own_settings, self._wanted))
            if self.segmenter.settings.turn_rule is not None and self._judge is not None:
                self._judge.prepare()

    def _asked_audio(self, question: Question, heard_samples: int) -> NDArray[np.float32]:
        start = max(question.start_samples, question.end_samples - heard_samples, self.audio.start_samples)
        return self.audio.between(start, question.end_samples).copy()
