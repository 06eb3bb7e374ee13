"""The measurements of a worker between two heartbeats."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from shared.bus.registry import Percentiles
from shared.events import Latency, seconds
from shared.metrics.families import EVENT_LATENCY, FINAL_DELAY, FIRST_WORD, SESSION, STEP
from shared.metrics.metrics import Histogram, Metrics
from worker.engine_thread import StepReport
from worker.engines.base import Final as FinalText
from worker.engines.base import Output, Partial
from worker.load import Load, nearest_rank
from worker.session import WorkerSession

WINDOW_S: Final = 60.0
WINDOW: Final = 512
"""The most observations for percentiles, the last ones of the window."""
STAGES: Final = ("queue", "model", "total")
"""The parts of a latency, as `Latency` has them."""


class _Measured:
    """One measurement: its histogram for the totals, and its last minute for the heartbeat."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._recent: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        """When they were observed, and milliseconds."""

    def observe(self, ms: float, now_s: float) -> None:
        self._histogram.observe(ms / 1000)
        self._recent.append((now_s, ms))

    def percentiles(self, now_s: float) -> Percentiles | None:
        """None without an observation in the last minute: older ones say nothing of now."""
        while self._recent and self._recent[0][0] < now_s - WINDOW_S:
            self._recent.popleft()
        return percentiles([ms for _, ms in self._recent]) if self._recent else None


class Telemetry:
    """Times `now_s` are of the monotonic clock."""

    def __init__(self, frame_ms: float = 0.0, model: str = "") -> None:
        self.metrics = Metrics()
        """What the service's totals have not received."""
        self._model = model
        self._stages = {stage: _Measured(self.metrics.histogram(EVENT_LATENCY, stage, model)) for stage in STAGES}
        self._steps = _Measured(self.metrics.histogram(STEP, model))
        self._first_word = self.metrics.histogram(FIRST_WORD, model)
        self._final_delay = self.metrics.histogram(FINAL_DELAY, model)
        self.load = Load(frame_ms)
        self.sessions_total = 0
        self.audio_s_total = 0.0
        self.heard_again_total = 0
        self._reset_interval()

    def observe_step(self, report: StepReport, now_s: float) -> None:
        """A step counts if it served a session. Of a `Timed` engine, passes do."""
        self.audio_s_total += report.audio_s
        self._audio_s += report.audio_s
        self._busy_s += (report.silent_ms + report.step_ms) / 1000
        if report.passes is not None:
            self.load.observe([one.pass_ms for one in report.passes], now_s)
            for one in report.passes:
                self._steps.observe(one.pass_ms, now_s)
            self._batches.extend(one.sessions for one in report.passes)
        elif report.batch_size:
            self._steps.observe(report.step_ms, now_s)
            self._batches.append(report.batch_size)

    def observe_latency(self, latency: Latency, now_s: float) -> None:
        """Of a text of a live session."""
        for stage, measured in self._stages.items():
            measured.observe(getattr(latency, f"{stage}_ms"), now_s)

    def observe_text(self, session: WorkerSession, output: Output, now_ms: float) -> None:
        """A text that was sent to the client of a live session. `now_ms` is wall clock."""
        if not isinstance(output, Partial | FinalText) or not output.text:
            return
        if session.is_first_text(output.segment):
            _observe_since(self._first_word, session.arrived_ms(output.start_samples), now_ms)
        if isinstance(output, FinalText):
            _observe_since(self._final_delay, session.arrived_ms(output.end_samples), now_ms)

    def observe_end(self, session: WorkerSession) -> None:
        """A session that this worker no longer serves; it counts if it has ended."""
        if session.ending is not None:
            kind = "recording" if session.options.recording else "live"
            ended = self.metrics.histogram(SESSION, self._model, kind, session.ending.value)
            ended.observe(seconds(session.read_samples))

    def latency(self, now_s: float) -> dict[str, Percentiles]:
        """By stage; empty if there was no text in the last minute."""
        found = {stage: measured.percentiles(now_s) for stage, measured in self._stages.items()}
        return {stage: known for stage, known in found.items() if known is not None}

    def step(self, now_s: float) -> Percentiles:
        """Zeros if there was no step in the last minute."""
        return self._steps.percentiles(now_s) or Percentiles()

    def take_interval(self) -> tuple[float, float]:
        """(real-time factor, mean batch size) since the last call."""
        factor = self._busy_s / self._audio_s if self._audio_s else 0.0
        batch = sum(self._batches) / len(self._batches) if self._batches else 0.0
        self._reset_interval()
        return round(factor, 4), round(batch, 2)

    def _reset_interval(self) -> None:
        self._audio_s = self._busy_s = 0.0
        self._batches: list[int] = []


def _observe_since(histogram: Histogram, arrived_ms: float | None, now_ms: float) -> None:
    if arrived_ms is not None:
        histogram.observe(max(0.0, now_ms - arrived_ms) / 1000)


def percentiles(values: Sequence[float]) -> Percentiles:
    """Of at least one value."""
    ordered = sorted(values)
    return Percentiles(*(round(nearest_rank(ordered, quantile), 2) for quantile in (0.5, 0.95, 0.99)))
