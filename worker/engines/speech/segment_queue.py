"""The segments of one session and its ordered outputs, for engines that decode whole segments.

A closed segment waits here until it is answered, and so do all outputs after it. The caller provides the VAD, or its
speech probabilities, and the answers. The session decides what is decoded, and with which options.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLES_PER_MS
from shared.turn_detection import TurnDetection
from worker.engines.base import (
    Committed,
    Finished,
    Output,
    SpeechStarted,
    SpeechStopped,
)
from worker.engines.speech.boundaries import Boundary, Closed, Found, Opened, SegmenterSettings
from worker.engines.speech.endpointing import Endpointing
from worker.engines.speech.turn_outputs import TurnEnd, TurnText
from worker.engines.speech.vad import SileroVad
from worker.turns.judge import TurnJudge

MIN_PASS_MS: Final = 500
"""A shorter part of an open segment gives no reliable text."""
MIN_PASS_SAMPLES: Final = MIN_PASS_MS * SAMPLES_PER_MS


class Kind(Enum):
    """The purpose of decoding a part of the audio."""

    PARTIAL = auto()
    CLOSING = auto()
    """The speaker may have finished: decode exactly the audio that would become final."""
    FINAL = auto()


class SegmentQueue:
    """Positions are samples of the session."""

    def __init__(
        self,
        settings: SegmenterSettings,
        start_samples: int,
        detection: TurnDetection | None = None,
        judge: TurnJudge | None = None,
    ) -> None:
        """See `Endpointing`."""
        self.endpointing = Endpointing(settings, start_samples, detection, judge)
        self._items: deque[Output | Closed | TurnEnd] = deque()
        """From the first segment without an answer on."""
        self._ready: list[Output] = []
        """The outputs before it."""
        self._turn_text = TurnText()

    # Outputs

    def put(self, *outputs: Output) -> None:
        """Send these after everything in the queue, and after the answers of closed segments."""
        self._items.extend(outputs)
        self._release()

    def take(self) -> list[Output]:
        """Remove and return the outputs that may be sent now."""
        outputs, self._ready = self._ready, []
        return outputs

    @property
    def has_outputs(self) -> bool:
        return bool(self._ready)

    def _release(self) -> None:
        """Move the outputs before the first segment without an answer."""
        while self._items and not isinstance(item := self._items[0], Closed):
            self._items.popleft()
            outputs = self._turn_text.end(item.closed) if isinstance(item, TurnEnd) else [item]
            self._turn_text.add(outputs)
            self._ready += outputs

    # Segments

    def listen(self, vad: SileroVad, limit_windows: int) -> Iterator[Boundary | Committed]:
        """The same as `hear`, in the unheard audio, of which at most so many windows are processed."""
        yield from self._taken(self.endpointing.listen(vad, limit_windows))

    def hear(self, probabilities: NDArray[np.float32]) -> Iterator[Boundary | Committed]:
        """The boundaries and commits from speech probabilities, each after its output for clients is in the queue.

        The probabilities are those of the audio that `endpointing.unheard` returned. `Finished` follows the last one.
        """
        yield from self._taken(self.endpointing.hear(probabilities))

    def cut(self) -> Iterator[Boundary | Committed]:
        """End the open segment at its best pause, and begin the next one there."""
        yield from self._taken(self.endpointing.segmenter.cut())

    def _taken(self, findings: Iterable[Found | Committed | Finished]) -> Iterator[Boundary | Committed]:
        for found in findings:
            self._put_outputs(found)
            if isinstance(found, Boundary | Committed):
                yield found

    def _put_outputs(self, found: Found | Committed | Finished) -> None:
        if isinstance(found, Opened):
            if not found.after_cut:
                self.put(SpeechStarted(found.speech_samples))
        elif isinstance(found, Closed):
            if found.speech_goes_on:
                self._items.append(found)
                return
            self.put(SpeechStopped(found.speech_end_samples))
            self._items.append(found)
            if self.endpointing.detection is not None:
                self._items.append(TurnEnd(found))
        else:
            self.put(found)

    @property
    def unanswered(self) -> Closed | None:
        """The oldest closed segment that waits for its answer."""
        return next(self._closed(), None)

    @property
    def all_unanswered(self) -> list[Closed]:
        return list(self._closed())

    def _closed(self) -> Iterator[Closed]:
        return (item for item in self._items if isinstance(item, Closed))

    def answer(self, closed: Closed, *outputs: Output) -> None:
        """Put the outputs of a closed segment in its place; none if nothing was said in it."""
        place = self._items.index(closed)
        del self._items[place]
        for output in reversed(outputs):
            self._items.insert(place, output)
        self._release()

    def open_pass(self, *, from_samples: int, heard_samples: int, new_samples: float) -> tuple[Kind, int] | None:
        """The purpose for which the open segment may be decoded now, and up to where; None if it should not be.

        During speech, for a partial: at least `MIN_PASS_MS` after `from_samples`, with `new_samples` and some
        speech after `heard_samples`, up to which it is already decoded. In a pause, as if the segment ended there.
        """
        segmenter = self.endpointing.segmenter
        if segmenter.start_samples is None:
            return None
        if segmenter.quiet_end_samples is not None:
            return Kind.CLOSING, segmenter.quiet_end_samples
        end = segmenter.position_samples
        long_enough = end - from_samples >= MIN_PASS_SAMPLES
        still_spoken = segmenter.speech_end_samples > heard_samples
        return (Kind.PARTIAL, end) if long_enough and still_spoken and end - heard_samples >= new_samples else None

    # Positions

    @property
    def checkpoint_samples(self) -> int:
        """Audio before this position is in no open segment and in none that waits for its answer."""
        closed = self.unanswered
        start = closed.start_samples if closed else self.endpointing.audio.end_samples
        return min(start, self.endpointing.segmenter.needed_from_samples)

    def answered_samples(self, heard_samples: int, *, waits_for_more: bool) -> int:
        """Audio before this position has been decoded, or was found to be silence.

        `heard_samples`: where the decoded part of the first segment without an answer ends. `waits_for_more`: an open
        segment is decoded only after more audio has arrived, so that none of it counts as backlog.
        """
        closed, segmenter = self.unanswered, self.endpointing.segmenter
        if closed:
            return min(closed.end_samples, max(heard_samples, closed.start_samples))
        return segmenter.position_samples if segmenter.start_samples is None or waits_for_more else heard_samples

    def absorbed_samples(self, answered_samples: int, *, is_behind: bool) -> int:
        """See `worker.engines.base.Engine`.

        Unless the session `is_behind` with the VAD or decoding, its audio only waits for more audio.
        """
        return answered_samples if is_behind else self.endpointing.audio.end_samples
