"""Decides where a segment of speech begins and ends: pure logic over speech probabilities, no model and no audio.

The input is one probability for each window of fixed size and, with a `TurnRule`, the answer to each `question`. The
result depends on nothing else, so it is the same however the audio was chunked. Positions are absolute samples of the
session.
"""

from shared.events import SAMPLES_PER_MS
from worker.engines.speech.boundaries import Boundary, Closed, Found, Opened, Question, SegmenterSettings
from worker.engines.speech.open_segment import MIN_ASKED_WINDOWS, OpenSegment

MAX_FAINT_WINDOWS = 47
"""1.5 s: faint speech before an onset reaches back no further."""
MAX_FAINT_GAP_WINDOWS = 2
"""Faint speech may contain this many windows without any: the closure of a "p" or "t" is silent."""


class Segmenter:
    """The endpointing of one session."""

    def __init__(self, settings: SegmenterSettings, start_samples: int = 0) -> None:
        self.settings = settings
        self._open: OpenSegment | None = None
        self._floor_samples = start_samples
        self._run: list[float] = []
        """Probabilities of the successive windows of speech while no segment is open."""
        self._faint: list[float] = []
        """Those of the windows of faint speech before them."""
        self.question: Question | None = None
        """If there is one, it must be answered with `judge` before the next `push`."""
        self.position_samples = start_samples

    @property
    def start_samples(self) -> int | None:
        """Where the open segment starts, or None in silence."""
        return self._open.start_samples if self._open else None

    @property
    def speech_start_samples(self) -> int:
        """Where the speech of the open segment starts, after the pre-roll."""
        return self._segment.speech_start_samples

    @property
    def speech_end_samples(self) -> int:
        """The end of the last window of speech in the open segment."""
        return self._segment.speech_end_samples

    @property
    def quiet_end_samples(self) -> int | None:
        """Where the open segment will end if no more speech follows; None during speech."""
        end = self._open.quiet_end_samples if self._open else None
        return end if end is not None and self.position_samples >= end else None

    @property
    def needed_from_samples(self) -> int:
        """Audio before this position is in no open or future segment."""
        if self._open:
            return self._open.start_samples
        return max(self._floor_samples, min(self._start, self._faint_start_samples))

    @property
    def asked_from_samples(self) -> int:
        """Questions are about no audio before this position."""
        return self._open.turn_start_samples if self._open else self.needed_from_samples

    @property
    def free_windows(self) -> int | None:
        """How many windows can be pushed before there can be a question; None: any number."""
        if self.settings.turn_rule is None:
            return None
        if self._open is None or (due_samples := self._open.asks_after_samples) is None:
            return MIN_ASKED_WINDOWS
        windows = -(-(due_samples - self._open.quiet_samples) // self.settings.window_samples)
        return max(1, min(MIN_ASKED_WINDOWS, windows))

    def configure(self, settings: SegmenterSettings) -> None:
        """Use these from the next segment on. It reaches no farther back than with the settings before."""
        assert self._open is None, "a segment is open"
        self._floor_samples = self.needed_from_samples
        self.settings = settings

    def push(self, probability: float) -> list[Found]:
        """Take the next window's probability; returns what it opens and closes, in order."""
        assert self.question is None, "the question is not answered"
        self.position_samples += self.settings.window_samples
        if self._open is None:
            return self._push_silent(probability)
        resumed = self._open.push(probability)
        if self._open.is_over:
            return [self._close()]
        if self._open.is_too_long and (parts := self.cut()):
            return [*resumed, *parts]
        self.question = self._open.ask()
        return [*resumed]

    def judge(self, probability: float | None) -> list[Found]:
        """The answer to `question`: the probability that the speaker has finished; None if no model can be asked."""
        assert self.question, "nothing was asked"
        self.question = None
        early = self._segment.judge(probability)
        return [self._close()] if self._segment.is_over else [*early]

    def commit(self, at_samples: int) -> list[Boundary]:
        """End the open segment at `at_samples`, which lies less than one window after the last window pushed."""
        assert self.question is None, "the question is not answered"
        opened = []
        if self._open is None:
            if not self._run:
                self._faint = []
                return []
            opened = [self._open_segment()]
        closed = self._close(at_samples)
        self._floor_samples = max(self._floor_samples, min(at_samples, self.position_samples))
        return [*opened, closed]

    def begin_at(self, start_samples: int) -> None:
        """Let the open segment start later, but not after its speech: what it held before has been answered."""
        self._segment.begin_at(start_samples)

    def cut(self) -> list[Boundary]:
        """Close the open segment at the best pause of its second half, and open the next one there.

        Nothing if that is the current pause: whether it ends the segment is not decided yet.
        """
        segment = self._segment
        closed = segment.cut()
        if closed is None:
            return []
        self._floor_samples = closed.end_samples
        return [closed, Opened(segment.start_samples, segment.start_samples, after_cut=True)]

    @property
    def _segment(self) -> OpenSegment:
        assert self._open, "no segment is open"
        return self._open

    @property
    def _first_window_samples(self) -> int:
        """Where the windows begin that a segment that opens now has."""
        return self.position_samples - (len(self._faint) + len(self._run)) * self.settings.window_samples

    @property
    def _start(self) -> int:
        """Where a segment that opens now begins."""
        onset_samples = self.position_samples - len(self._run) * self.settings.window_samples
        start = onset_samples - self.settings.pre_roll_ms * SAMPLES_PER_MS
        if self._faint:
            start = min(start, self._faint_start_samples)
        return max(self._floor_samples, start)

    @property
    def _faint_start_samples(self) -> int:
        """Where a segment that opens begins at the earliest if faint speech precedes it."""
        return self._first_window_samples - self.settings.faint_pre_roll_ms * SAMPLES_PER_MS

    def _push_silent(self, probability: float) -> list[Found]:
        if probability < self.settings.onset_probability:
            self._hear_faint(probability)
            return []
        self._run.append(probability)
        return [self._open_segment()] if len(self._run) >= self.settings.onset_windows else []

    def _hear_faint(self, probability: float) -> None:
        """Keep the windows of faint speech that reach up to now, with this one."""
        least = self.settings.faint_share * self.settings.onset_probability
        heard = [*self._faint, *self._run, probability][-MAX_FAINT_WINDOWS:]
        self._run = []
        has_ended = all(one < least for one in heard[-MAX_FAINT_GAP_WINDOWS - 1 :])
        first = next((index for index, one in enumerate(heard) if one >= least), len(heard))
        self._faint = [] if has_ended else heard[first:]

    def _open_segment(self) -> Opened:
        heard = [*self._faint, *self._run]
        self._open = OpenSegment(self.settings, self._start, self._first_window_samples, heard)
        self._faint, self._run = [], []
        return Opened(self._open.start_samples, self._open.speech_start_samples)

    def _close(self, committed_samples: int | None = None) -> Closed:
        closed = self._segment.closed(committed_samples)
        self._open = None
        self._floor_samples = closed.end_samples
        return closed
