"""Decides where a segment of speech begins and ends: pure logic over speech probabilities, no model and no audio.

The input is one probability for each window of fixed size and, with a `TurnRule`, the answer to each `question`. The
result depends on nothing else, so it is the same however the audio was chunked. Positions are absolute samples of the
session.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from worker.turns.rule import TurnRule

SAMPLES_PER_MS = 16
MAX_FAINT_WINDOWS = 47
"""1.5 s: faint speech before an onset reaches back no further."""
MAX_FAINT_GAP_WINDOWS = 2
"""Faint speech may contain this many windows without any: the closure of a "p" or "t" is silent."""
MIN_ASKED_WINDOWS = 4
"""The shortest silence about which a question is asked: 128 ms."""


@dataclass(frozen=True, slots=True)
class SegmenterSettings:
    window_samples: int = 512
    onset_probability: float = 0.5
    offset_probability: float = 0.35
    onset_windows: int = 2
    """Speech starts after this many windows in a row above `onset_probability`."""
    pre_roll_ms: int = 320
    """Audio included before the first window of speech, so that a soft first sound is not cut."""
    faint_share: float = 1 / 3
    """Windows with at least this share of `onset_probability` that lead up to an onset are in its segment, though not
    counted in `voiced_windows`: a sentence may begin too quietly for an onset. Infinite: none are."""
    faint_pre_roll_ms: int = 96
    """Audio included before the first of those."""
    post_roll_ms: int = 192
    """Audio included after the last window of speech."""
    endpoint_ms: int = 544
    """A silence this long ends the segment."""
    late_endpoint_ms: int = 320
    late_after_s: float = 7.0
    """A segment longer than this ends at the shorter silence: long windows are slow to decode."""
    max_segment_s: float = 12.0
    """A segment that reaches this is cut at its best pause in the second half."""
    turn_rule: TurnRule | None = None
    """If there is one, it replaces the silences that end a segment."""


class EndReason(StrEnum):
    """Why a segment has ended."""

    FINISHED = "finished"
    """A model has decided that the speaker has finished."""
    SILENCE = "silence"
    """The silence was as long as a silence may be."""
    COMMIT = "commit"
    """The client has committed or ended its audio."""


@dataclass(frozen=True, slots=True)
class Opened:
    start_samples: int
    speech_samples: int
    """Where the speech itself starts, after the pre-roll."""
    after_cut: bool = False
    """The speech started earlier, in a segment that was too long and was cut."""


@dataclass(frozen=True, slots=True)
class Closed:
    start_samples: int
    end_samples: int
    speech_start_samples: int
    speech_end_samples: int
    voiced_windows: int
    """Number of windows of the segment that were speech: a cough has only a few."""
    speech_goes_on: bool = False
    reason: EndReason = EndReason.SILENCE
    probability: float | None = None
    """That the speaker has finished, if a model was asked."""
    decided_samples: int = 0
    """The audio up to here was heard for the decision."""
    was_notified: bool = False
    """`EndedEarly` came before it, for this pause or an earlier one of the turn."""


@dataclass(frozen=True, slots=True)
class EndedEarly:
    """The speaker has probably finished, but the segment is still open."""

    speech_end_samples: int
    decided_samples: int
    probability: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The speaker continues after `EndedEarly`."""

    speech_samples: int


@dataclass(frozen=True, slots=True)
class Question:
    """Has the speaker finished at the end of this audio?"""

    start_samples: int
    end_samples: int


Boundary = Opened | Closed


@dataclass(slots=True)
class _Pause:
    """What is known about the silence at the end of an open segment."""

    asked: int = 0
    probability: float | None = None
    """That the speaker has finished."""
    is_unjudged: bool = False
    """No model can be asked: the plain silences apply."""
    was_notified: bool = False


@dataclass(slots=True)
class _Open:
    turn_start_samples: int
    """Questions are about all audio from here on."""
    start_samples: int
    speech_start_samples: int
    speech_end_samples: int
    first_window_samples: int
    """Position of the window of `probabilities[0]`."""
    probabilities: list[float] = field(default_factory=list)
    pause: _Pause = field(default_factory=_Pause)
    was_notified: bool = False
    """Whether there was an `EndedEarly` in the turn."""


class Segmenter:
    """The endpointing of one session."""

    def __init__(self, settings: SegmenterSettings, start_samples: int = 0) -> None:
        self.settings = settings
        self._open: _Open | None = None
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
        assert self._open, "no segment is open"
        return self._open.speech_start_samples

    @property
    def speech_end_samples(self) -> int:
        """The end of the last window of speech in the open segment."""
        assert self._open, "no segment is open"
        return self._open.speech_end_samples

    @property
    def quiet_end_samples(self) -> int | None:
        """Where the open segment will end if no more speech follows; None during speech."""
        if self._open is None:
            return None
        end = self._open.speech_end_samples + self.settings.post_roll_ms * SAMPLES_PER_MS
        return end if self.position_samples >= end else None

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
        rule = self.settings.turn_rule
        if rule is None:
            return None
        if self._open is None or self._open.pause.asked >= len(rule.asks_ms):
            return MIN_ASKED_WINDOWS
        due_samples = max(rule.asks_ms[self._open.pause.asked] * SAMPLES_PER_MS, self._least_asked_samples)
        return max(1, min(MIN_ASKED_WINDOWS, -(-(due_samples - self._quiet_samples) // self.settings.window_samples)))

    def configure(self, settings: SegmenterSettings) -> None:
        """Use these from the next segment on. It reaches no farther back than with the settings before."""
        assert self._open is None, "a segment is open"
        self._floor_samples = self.needed_from_samples
        self.settings = settings

    def push(self, probability: float) -> list[Boundary | EndedEarly | Resumed]:
        """Take the next window's probability; returns what it opens and closes, in order."""
        assert self.question is None, "the question is not answered"
        window_start = self.position_samples
        self.position_samples += self.settings.window_samples
        if self._open is None:
            return self._push_silent(probability)
        self._open.probabilities.append(probability)
        resumed: list[Boundary | EndedEarly | Resumed] = []
        if probability >= self.settings.offset_probability:
            if self._open.pause.was_notified:
                resumed = [Resumed(window_start)]
            self._open.speech_end_samples, self._open.pause = self.position_samples, _Pause()
        if self._quiet_samples >= self._endpoint_samples():
            return [self._close()]
        if window_start - self._open.start_samples >= self._max_samples:
            return [*resumed, *self.cut()]
        self.question = self._question()
        return resumed

    def judge(self, probability: float | None) -> list[Boundary | EndedEarly | Resumed]:
        """The answer to `question`: the probability that the speaker has finished; None if no model can be asked."""
        assert self.question, "nothing was asked"
        assert self._open
        self.question = None
        pause, rule = self._open.pause, self.settings.turn_rule
        pause.probability, pause.is_unjudged = probability, probability is None
        if self._quiet_samples >= self._endpoint_samples():
            return [self._close()]
        if probability is None or rule is None or rule.early_threshold is None or pause.was_notified:
            return []
        if probability < rule.early_threshold:
            return []
        pause.was_notified = self._open.was_notified = True
        return [EndedEarly(self._open.speech_end_samples, self.position_samples, probability)]

    def _question(self) -> Question | None:
        rule = self.settings.turn_rule
        if rule is None or self._open is None or self._open.pause.is_unjudged:
            return None
        asked = self._open.pause.asked
        if asked >= len(rule.asks_ms) or self._quiet_samples < self._least_asked_samples:
            return None
        if self._quiet_samples < rule.asks_ms[asked] * SAMPLES_PER_MS:
            return None
        self._open.pause.asked += 1
        return Question(self._open.turn_start_samples, self.position_samples)

    @property
    def _least_asked_samples(self) -> int:
        return MIN_ASKED_WINDOWS * self.settings.window_samples

    @property
    def _quiet_samples(self) -> int:
        assert self._open
        return self.position_samples - self._open.speech_end_samples

    def commit(self, at_samples: int) -> list[Boundary]:
        """End the open segment at `at_samples`, which lies less than one window after the last window pushed."""
        assert self.question is None, "the question is not answered"
        if self._open is None:
            if not self._run:
                self._faint = []
                return []
            opened = self._open_segment()
            return [opened, *self.commit(at_samples)]
        end = max(self._open.start_samples, min(at_samples, self._quiet_limit_samples))
        closed = self._close(end)
        self._floor_samples = max(self._floor_samples, min(at_samples, self.position_samples))
        return [closed]

    @property
    def _max_samples(self) -> float:
        return self.settings.max_segment_s * 1000 * SAMPLES_PER_MS - self.settings.window_samples

    @property
    def _speech_start_samples(self) -> int:
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
        return self._speech_start_samples - self.settings.faint_pre_roll_ms * SAMPLES_PER_MS

    @property
    def _quiet_limit_samples(self) -> int:
        assert self._open
        return self._open.speech_end_samples + self.settings.post_roll_ms * SAMPLES_PER_MS

    def _endpoint_samples(self) -> int:
        assert self._open
        rule, pause = self.settings.turn_rule, self._open.pause
        if rule is not None and not pause.is_unjudged:
            return rule.silence_ms(pause.probability) * SAMPLES_PER_MS
        late = self.position_samples - self._open.start_samples > self.settings.late_after_s * 1000 * SAMPLES_PER_MS
        return (self.settings.late_endpoint_ms if late else self.settings.endpoint_ms) * SAMPLES_PER_MS

    def _push_silent(self, probability: float) -> list[Boundary | EndedEarly | Resumed]:
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
        start, first_window_samples = self._start, self._speech_start_samples
        speech_samples = max(start, first_window_samples)  # a commit may have ended the last segment in this window
        probabilities, self._faint, self._run = [*self._faint, *self._run], [], []
        self._open = _Open(start, start, speech_samples, self.position_samples, first_window_samples, probabilities)
        return Opened(start, speech_samples)

    def _close(self, end_samples: int | None = None) -> Closed:
        segment = self._open
        assert segment
        end = min(self.position_samples, self._quiet_limit_samples) if end_samples is None else end_samples
        self._open = None
        self._floor_samples = end
        voiced = sum(probability >= self.settings.onset_probability for probability in segment.probabilities)
        rule, probability, reason = self.settings.turn_rule, segment.pause.probability, EndReason.SILENCE
        if end_samples is not None:
            reason = EndReason.COMMIT
        elif rule is not None and rule.silence_ms(probability) < rule.max_silence_ms:
            reason = EndReason.FINISHED
        return Closed(
            segment.start_samples,
            end,
            min(segment.speech_start_samples, end),
            min(segment.speech_end_samples, end),
            voiced,
            reason=reason,
            probability=probability,
            decided_samples=self.position_samples,
            was_notified=segment.was_notified,
        )

    def begin_at(self, start_samples: int) -> None:
        """Let the open segment start later, but not after its speech: what it held before has been answered."""
        segment = self._open
        assert segment, "no segment is open"
        start = max(segment.start_samples, min(start_samples, segment.speech_end_samples))
        segment.start_samples = start
        segment.speech_start_samples = max(segment.speech_start_samples, start)
        dropped = max(0, start - segment.first_window_samples) // self.settings.window_samples
        del segment.probabilities[:dropped]
        segment.first_window_samples += dropped * self.settings.window_samples

    def cut(self) -> list[Boundary]:
        """Close the open segment at the best pause of its second half, and open the next one there."""
        segment = self._open
        assert segment
        window = self.settings.window_samples
        count = len(segment.probabilities)
        candidates = range(count // 2, count - 1)
        best = min(candidates, key=lambda index: (sum(segment.probabilities[index - 1 : index + 2]), -index))
        cut_samples = segment.first_window_samples + best * window + window // 2
        if segment.speech_end_samples <= cut_samples:
            return [self._close()]
        before, after = segment.probabilities[: best + 1], segment.probabilities[best + 1 :]
        voiced = sum(probability >= self.settings.onset_probability for probability in before)
        closed = Closed(
            segment.start_samples, cut_samples, segment.speech_start_samples, cut_samples, voiced, speech_goes_on=True
        )
        first = segment.first_window_samples + (best + 1) * window
        self._open = replace(
            segment,
            start_samples=cut_samples,
            speech_start_samples=cut_samples,
            first_window_samples=first,
            probabilities=after,
        )
        self._floor_samples = cut_samples
        return [closed, Opened(cut_samples, cut_samples, after_cut=True)]
