"""A segment of speech that has begun: its speech, the silence after it, and whether that ends it. Pure."""

from shared.events import SAMPLES_PER_MS
from worker.engines.base import TurnEndedEarly, TurnResumed
from worker.engines.speech.boundaries import (
    Closed,
    EndReason,
    Question,
    SegmenterSettings,
)

MIN_ASKED_WINDOWS = 4
"""The shortest silence about which a question is asked: 128 ms."""


class _Pause:
    """What is known about the silence at the end of the segment."""

    def __init__(self) -> None:
        self.asked = 0
        self.probability: float | None = None
        """That the speaker has finished."""
        self.is_unjudged = False
        """No model can be asked: the plain silences apply."""
        self.was_notified = False


class OpenSegment:
    def __init__(
        self, settings: SegmenterSettings, start_samples: int, first_window_samples: int, probabilities: list[float]
    ) -> None:
        """`probabilities` are those of its windows so far, of which the first begins at `first_window_samples`."""
        self._settings = settings
        self._first_window_samples = first_window_samples
        self._probabilities = probabilities
        self._pause = _Pause()
        self._was_notified = False
        """Whether there was an `TurnEndedEarly` in the turn."""
        self.turn_start_samples = start_samples
        """Questions are about all audio of the turn, of which some may be in earlier segments."""
        self.start_samples = start_samples
        self.speech_start_samples = max(start_samples, first_window_samples)
        self.speech_end_samples = self.heard_samples

    @property
    def heard_samples(self) -> int:
        """The end of its last window."""
        return self._first_window_samples + len(self._probabilities) * self._settings.window_samples

    @property
    def quiet_samples(self) -> int:
        return self.heard_samples - self.speech_end_samples

    @property
    def quiet_end_samples(self) -> int:
        """Where it ends if no more speech follows."""
        return self.speech_end_samples + self._settings.post_roll_ms * SAMPLES_PER_MS

    @property
    def is_over(self) -> bool:
        """Whether the silence is as long as one that ends it."""
        rule, settings = self._settings.turn_rule, self._settings
        if rule is not None and not self._pause.is_unjudged:
            silence_ms = rule.silence_ms(self._pause.probability)
        elif self.heard_samples - self.start_samples > settings.late_after_s * 1000 * SAMPLES_PER_MS:
            silence_ms = settings.late_endpoint_ms
        else:
            silence_ms = settings.endpoint_ms
        return self.quiet_samples >= silence_ms * SAMPLES_PER_MS

    @property
    def is_too_long(self) -> bool:
        return self.heard_samples - self.start_samples >= self._settings.max_segment_s * 1000 * SAMPLES_PER_MS

    @property
    def asks_after_samples(self) -> int | None:
        """The silence after which the next question is asked; None if this pause has no further one."""
        rule, asked = self._settings.turn_rule, self._pause.asked
        if rule is None or self._pause.is_unjudged or asked >= len(rule.asks_ms):
            return None
        return max(rule.asks_ms[asked] * SAMPLES_PER_MS, MIN_ASKED_WINDOWS * self._settings.window_samples)

    def push(self, probability: float) -> list[TurnResumed]:
        """Add a window."""
        start_samples = self.heard_samples
        self._probabilities.append(probability)
        if probability < self._settings.offset_probability:
            return []
        resumed = [TurnResumed(start_samples)] if self._pause.was_notified else []
        if self.speech_start_samples == self.speech_end_samples:  # all speech before this has been answered
            self.speech_start_samples = start_samples
        self.speech_end_samples, self._pause = self.heard_samples, _Pause()
        return resumed

    def ask(self) -> Question | None:
        """The question that is due."""
        due_samples = self.asks_after_samples
        if due_samples is None or self.quiet_samples < due_samples:
            return None
        self._pause.asked += 1
        return Question(self.turn_start_samples, self.heard_samples)

    def judge(self, probability: float | None) -> list[TurnEndedEarly]:
        """The answer: the probability that the speaker has finished; None if no model can be asked."""
        pause, rule = self._pause, self._settings.turn_rule
        pause.probability, pause.is_unjudged = probability, probability is None
        if self.is_over or probability is None or pause.was_notified:
            return []
        if rule is None or rule.early_threshold is None or probability < rule.early_threshold:
            return []
        pause.was_notified = self._was_notified = True
        return [TurnEndedEarly(self.speech_end_samples, self.heard_samples, probability)]

    def closed(self, committed_samples: int | None = None) -> Closed:
        """Its end: by silence, or where the client commits."""
        rule, probability, reason = self._settings.turn_rule, self._pause.probability, EndReason.SILENCE
        end = min(self.heard_samples, self.quiet_end_samples)
        if committed_samples is not None:
            end = max(self.start_samples, min(committed_samples, self.quiet_end_samples))
            reason = EndReason.COMMIT
        elif rule is not None and rule.silence_ms(probability) < rule.max_silence_ms:
            reason = EndReason.FINISHED
        return Closed(
            self.start_samples,
            end,
            min(self.speech_start_samples, end),
            min(self.speech_end_samples, end),
            self._voiced(self._probabilities),
            reason=reason,
            probability=probability,
            decided_samples=self.heard_samples,
            was_notified=self._was_notified,
        )

    def begin_at(self, start_samples: int) -> None:
        """See `Segmenter.begin_at`."""
        self.start_samples = max(self.start_samples, min(start_samples, self.speech_end_samples))
        self.speech_start_samples = max(self.speech_start_samples, self.start_samples)
        self._forget(max(0, self.start_samples - self._first_window_samples) // self._settings.window_samples)

    def cut(self) -> Closed | None:
        """End it at the best pause of its second half, and continue as the rest; None while no speech follows that."""
        heard, window = self._probabilities, self._settings.window_samples
        candidates = range(len(heard) // 2, len(heard) - 1)
        best = min(candidates, key=lambda index: (sum(heard[index - 1 : index + 2]), -index))
        cut_samples = self._first_window_samples + best * window + window // 2
        if self.speech_end_samples <= cut_samples:
            return None
        spoken = max(
            (index for index in range(best) if heard[index] >= self._settings.offset_probability), default=best
        )
        post_roll_samples = self._settings.post_roll_ms * SAMPLES_PER_MS
        end = min(cut_samples, self._first_window_samples + (spoken + 1) * window + post_roll_samples)
        voiced = self._voiced(heard[: best + 1])
        closed = Closed(self.start_samples, end, self.speech_start_samples, end, voiced, speech_goes_on=True)
        self.start_samples = self.speech_start_samples = cut_samples
        self._forget(best + 1)
        return closed

    def _forget(self, windows: int) -> None:
        del self._probabilities[:windows]
        self._first_window_samples += windows * self._settings.window_samples

    def _voiced(self, probabilities: list[float]) -> int:
        return sum(probability >= self._settings.onset_probability for probability in probabilities)
