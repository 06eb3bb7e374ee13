"""Where the turns of one session end, by its client's rule: the VAD and Smart Turn, beside the model.

The model's text comes later than its audio. An end waits here until the model has passed it.
"""

from collections import deque
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.turn_detection import TurnDetection
from worker.engines.base import Final as FinalText
from worker.engines.base import Output, SpeechStarted, SpeechStopped
from worker.engines.speech.endpointing import Endpointing
from worker.engines.speech.segment_queue import early_turn, ended_turn
from worker.engines.speech.segmenter import Closed, EndedEarly, Opened, Resumed, SegmenterSettings
from worker.engines.speech.vad import WINDOW_SAMPLES, SileroVad
from worker.turns.judge import TurnJudge

SETTINGS: Final = SegmenterSettings(late_after_s=1e9, max_segment_s=1e9)
"""Turns are not cut, however long they are."""
MAX_VAD_WINDOWS: Final = 100
LATE_TEXT_SAMPLES: Final = 10_240
"""0.64 s: a turn whose text comes later than this ends without it."""


class TurnEnds:
    """Positions are samples of the session."""

    def __init__(self, detection: TurnDetection, vad: SileroVad, judge: TurnJudge | None, start_samples: int) -> None:
        self._vad = vad
        self._endpointing = Endpointing(SETTINGS, start_samples, detection, judge)
        self._ended: deque[Closed] = deque()
        self._speech_start_samples = start_samples
        """Where the speech of the last turn starts."""
        self._skip_samples = 0
        self._has_text = False

    def skip(self, length_samples: int) -> None:
        """The next audio comes before the start, and was heard by a former owner."""
        self._skip_samples = length_samples

    def feed(self, pcm: NDArray[np.float32]) -> None:
        skipped = min(self._skip_samples, len(pcm))
        self._skip_samples -= skipped
        self._endpointing.audio.append(pcm[skipped:])

    def configure(self, detection: TurnDetection) -> None:
        self._endpointing.configure(detection)

    def commit(self) -> None:
        self._endpointing.commit()

    def finish(self) -> None:
        self._endpointing.finish()

    @property
    def is_due(self) -> bool:
        """Whether `listen` has something to do."""
        return self._endpointing.has_unheard()

    @property
    def is_finished(self) -> bool:
        """Whether all audio before `finish` has been heard."""
        return self._endpointing.finished

    def listen(self) -> list[Output]:
        """Hear new audio; returns what clients are notified of at once."""
        outputs: list[Output] = []
        limit_samples = self._endpointing.segmenter.position_samples + MAX_VAD_WINDOWS * WINDOW_SAMPLES
        while self._endpointing.has_unheard() and self._endpointing.segmenter.position_samples < limit_samples:
            pcm = self._endpointing.unheard(MAX_VAD_WINDOWS)
            for found in self._endpointing.hear(self._vad.probabilities(self._endpointing.vad_state, pcm)):
                if isinstance(found, EndedEarly | Resumed):
                    outputs.append(early_turn(found))
                elif isinstance(found, Opened):
                    self._speech_start_samples = found.speech_samples
                    outputs.append(SpeechStarted(found.speech_samples))
                elif isinstance(found, Closed):
                    outputs.append(SpeechStopped(found.speech_end_samples))
                    start_samples = min(self._speech_start_samples, found.end_samples)
                    self._ended.append(replace(found, speech_start_samples=start_samples))
        self._forget()
        return outputs

    def _forget(self) -> None:
        """Nothing is decoded or cut here, so an open turn needs none of what was heard."""
        segmenter = self._endpointing.segmenter
        if segmenter.start_samples is not None:
            segmenter.begin_at(segmenter.position_samples)
        self._endpointing.forget_before(segmenter.position_samples)

    def passed(self, frame_samples: int, *, by_word: bool, is_settled: bool) -> Closed | None:
        """Remove and return the oldest end, if the model has passed it with a frame.

        `by_word`: a word has ended in the frame, which is not of a turn whose end was decided before it. Otherwise the
        model has written nothing in it. `is_settled`: there is text, and the last word is complete.
        """
        if not self._ended:
            return None
        end = self._ended[0]
        late_samples = frame_samples - end.speech_end_samples
        if by_word:
            is_over = end.decided_samples < frame_samples
        else:
            is_over = late_samples >= (0 if is_settled else LATE_TEXT_SAMPLES)
        return self._ended.popleft() if is_over else None

    def without_speech(self, outputs: list[Output]) -> list[Output]:
        """The outputs for a segment's text, without those that say when speech starts and stops: the VAD does."""
        self._has_text = self._has_text or any(isinstance(output, FinalText) for output in outputs)
        return [output for output in outputs if not isinstance(output, SpeechStarted | SpeechStopped)]

    @property
    def has_text(self) -> bool:
        """Whether the turn has a final."""
        return self._has_text

    def ended(self, closed: Closed) -> list[Output]:
        """The output for the end of a turn, after that of its last segment. A turn without text has none."""
        is_turn = self._has_text or closed.was_notified
        self._has_text = False
        return [ended_turn(closed)] if is_turn else []
