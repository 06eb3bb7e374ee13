"""Where the turns of one session end, by its client's rule: the VAD and Smart Turn, beside the model.

The model's text comes later than its audio. An end waits here until the model has passed it.
"""

from collections import deque
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.turn_detection import TurnDetection
from worker.engines.base import Output, SpeechStarted, SpeechStopped, TurnEndedEarly, TurnResumed
from worker.engines.speech.audio_buffer import AudioBuffer
from worker.engines.speech.boundaries import Closed, Opened, SegmenterSettings
from worker.engines.speech.endpointing import Endpointing
from worker.engines.speech.turn_outputs import TurnText
from worker.engines.speech.vad import WINDOW_SAMPLES, SileroVad
from worker.turns.judge import TurnJudge

SETTINGS: Final = SegmenterSettings(late_after_s=1e9, max_segment_s=1e9)
"""Turns are not cut, however long they are."""
MAX_VAD_WINDOWS: Final = 100
LATE_TEXT_SAMPLES: Final = 10_240
"""0.64 s: a turn whose text comes later than this ends without it."""


class TurnEnds:
    """Positions are samples of the session. Without turn detection there are no ends.

    Turn detection is switched on and off between turns and between segments of text, so that everything that clients
    were notified of is completed, by the rule that it began with.
    """

    def __init__(self, vad: SileroVad | None, judge: TurnJudge | None) -> None:
        self._vad = vad
        self._judge = judge
        self._wanted: TurnDetection | None = None
        self._endpointing: Endpointing | None = None
        """None while turns are not detected."""
        self._ended: deque[Closed] = deque()
        self._speech_start_samples = 0
        """Where the speech of the last turn starts."""
        self._skip_samples = 0
        self._turn_text = TurnText()

    def configure(self, detection: TurnDetection | None) -> None:
        """Use this from the next turn on; see `switch`."""
        self._wanted = detection if self._vad is not None else None
        if self._endpointing is not None and self._wanted is not None:
            self._endpointing.configure(self._wanted)

    @property
    def must_switch(self) -> bool:
        """Whether `switch` is to be called as soon as no segment of text is open."""
        return (self._wanted is None) != (self._endpointing is None)

    def switch(self, audio: AudioBuffer, start_samples: int) -> None:
        """Detect turns in the audio from a position on, or no longer if the last one is over."""
        if self._wanted is not None:
            self._endpointing = Endpointing(SETTINGS, start_samples, self._wanted, self._judge)
            self._endpointing.audio.append(audio.between(start_samples, audio.end_samples))
        elif self._is_over:
            self._endpointing, self._turn_text = None, TurnText()

    @property
    def ends_segments(self) -> bool:
        """Whether segments of text end with turns, and not at pauses in the text."""
        return self._endpointing is not None and not self._is_over

    @property
    def _has_stopped(self) -> bool:
        """Whether no more turns are wanted, and none is open."""
        is_open = self._endpointing is not None and self._endpointing.segmenter.start_samples is not None
        return self._wanted is None and not is_open

    @property
    def _is_over(self) -> bool:
        """Whether the model has passed the last turn, too."""
        return self._has_stopped and not self._ended

    def skip(self, length_samples: int) -> None:
        """The next audio comes before the start, and was heard by a former owner."""
        self._skip_samples = length_samples

    def feed(self, pcm: NDArray[np.float32]) -> None:
        skipped = min(self._skip_samples, len(pcm))
        self._skip_samples -= skipped
        if self._endpointing is not None:
            self._endpointing.audio.append(pcm[skipped:])

    def commit(self) -> None:
        if self._endpointing is not None:
            self._endpointing.commit()

    def finish(self) -> None:
        if self._endpointing is not None:
            self._endpointing.finish()

    @property
    def is_due(self) -> bool:
        """Whether `listen` has something to do."""
        return self._endpointing is not None and self._endpointing.has_unheard() and not self._has_stopped

    @property
    def is_finished(self) -> bool:
        """Whether all audio before `finish` has been heard."""
        return self._endpointing is None or self._endpointing.finished or self._has_stopped

    def listen(self) -> list[Output]:
        """Hear new audio; returns what clients are notified of at once."""
        outputs: list[Output] = []
        if self._endpointing is None or self._vad is None:
            return outputs
        segmenter = self._endpointing.segmenter
        limit_samples = segmenter.position_samples + MAX_VAD_WINDOWS * WINDOW_SAMPLES
        while self.is_due and segmenter.position_samples < limit_samples:  # what is found may end the detection
            pcm = self._endpointing.unheard(MAX_VAD_WINDOWS)
            for found in self._endpointing.hear(self._vad.probabilities(self._endpointing.vad_state, pcm)):
                if isinstance(found, TurnEndedEarly | TurnResumed):
                    outputs.append(found)
                elif isinstance(found, Opened):
                    self._speech_start_samples = found.speech_samples
                    outputs.append(SpeechStarted(found.speech_samples))
                elif isinstance(found, Closed):
                    outputs.append(SpeechStopped(found.speech_end_samples))
                    start_samples = min(self._speech_start_samples, found.end_samples)
                    self._ended.append(replace(found, speech_start_samples=start_samples))
        if segmenter.start_samples is not None:
            segmenter.begin_at(segmenter.position_samples)  # nothing is decoded or cut here, so no turn needs its audio
        self._endpointing.forget_before(segmenter.position_samples)
        return outputs

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
        """The outputs for a segment's text. With turn detection, the VAD says when speech starts and stops."""
        if self._endpointing is None:
            return outputs
        outputs = [output for output in outputs if not isinstance(output, SpeechStarted | SpeechStopped)]
        self._turn_text.add(outputs)
        return outputs

    @property
    def has_text(self) -> bool:
        """Whether the turn has a final."""
        return self._turn_text.has_final

    def ended(self, closed: Closed) -> list[Output]:
        """The output for the end of a turn, after that of its last segment."""
        return self._turn_text.end(closed)
