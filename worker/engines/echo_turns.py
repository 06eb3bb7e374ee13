"""A session of the echo engine with turn detection: its segments are turns, found as by engines with a model."""

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shared.events import Word, seconds
from shared.session_options import SessionOptions
from worker.engines.base import Final, Output, Partial
from worker.engines.option_notices import turns_by_pauses
from worker.engines.speech.boundaries import Closed, SegmenterSettings
from worker.engines.speech.segment_queue import SegmentQueue
from worker.engines.speech.vad import SileroVad
from worker.turns.judge import TurnJudge

MAX_VAD_WINDOWS = 1000
"""In one step."""
SETTINGS = SegmenterSettings()


class EchoTurns:
    """The text of a segment is its duration."""

    def __init__(
        self, options: SessionOptions, vad: SileroVad, judge: TurnJudge, *, start_samples: int, segment: int
    ) -> None:
        self._options = options
        self._vad = vad
        self._judge = judge
        self._segment = segment
        self._queue = SegmentQueue(SETTINGS, start_samples, options.turn_detection, judge)
        self._endpointing = self._queue.endpointing
        self._shown_samples = start_samples
        self._queue.put(*turns_by_pauses(options.turn_detection, judge))

    def feed(self, pcm: NDArray[np.float32]) -> None:
        self._endpointing.audio.append(pcm)

    def configure(self, options: SessionOptions) -> None:
        self._options = replace(options, partials=self._options.partials)
        self._endpointing.configure(options.turn_detection)
        self._queue.put(*turns_by_pauses(options.turn_detection, self._judge))

    def commit(self) -> None:
        self._endpointing.commit()

    def finish(self) -> None:
        self._endpointing.finish()

    @property
    def is_due(self) -> bool:
        """Whether `answer` has something to do."""
        return self._endpointing.has_unheard() or self._queue.has_outputs

    def answer(self) -> list[Output]:
        started_s = time.perf_counter()
        for boundary in self._queue.listen(self._vad, MAX_VAD_WINDOWS):
            if isinstance(boundary, Closed):
                self._queue.answer(boundary, self._final(boundary, (time.perf_counter() - started_s) * 1000))
        self._show((time.perf_counter() - started_s) * 1000)
        self._endpointing.forget_before(self.checkpoint_samples)
        return self._queue.take()

    @property
    def absorbed_samples(self) -> int:
        return self._queue.absorbed_samples(
            self._endpointing.segmenter.position_samples, is_behind=self._endpointing.has_unheard()
        )

    @property
    def checkpoint_samples(self) -> int:
        return self._queue.checkpoint_samples

    def _show(self, model_ms: float) -> None:
        start, end = self._endpointing.segmenter.start_samples, self._endpointing.segmenter.position_samples
        if start is not None and self._options.partials and end > self._shown_samples:
            self._shown_samples = end
            self._queue.put(Partial(self._segment, _text(start, end), start, end, model_ms))

    def _final(self, closed: Closed, model_ms: float) -> Final:
        start, end = closed.start_samples, closed.end_samples
        text = _text(start, end)
        final = Final(
            segment=self._segment,
            text=text,
            start_samples=start,
            end_samples=end,
            heard_samples=end,
            resume_samples=end,
            words=(Word(text, start, end),) if self._options.words else (),
            language=self._options.language,
            model_ms=model_ms,
        )
        self._segment += 1
        return final


def _text(start_samples: int, end_samples: int) -> str:
    return f"{seconds(end_samples - start_samples):g} seconds"
