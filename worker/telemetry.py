"""The measurements of a worker between two heartbeats."""

from collections import Counter, deque
from typing import Final

from shared.bus.registry import Percentiles
from shared.events import Latency
from worker.engine_thread import StepReport
from worker.load import Load

WINDOW: Final = 512
"""Number of observations for percentiles."""


class Telemetry:
    def __init__(self, frame_ms: float = 0.0) -> None:
        self.load = Load(frame_ms)
        self.errors: Counter[str] = Counter()
        self.sessions_total = 0
        self.audio_s_total = 0.0
        self.heard_again_total = 0
        self._latency: dict[str, deque[float]] = {name: deque(maxlen=WINDOW) for name in ("queue", "model", "total")}
        self._step_ms: deque[float] = deque(maxlen=WINDOW)
        self._reset_interval()

    def observe_step(self, report: StepReport, now_s: float) -> None:
        """`now_s` is of the monotonic clock. A step counts if it served a session, or is a pass of a paced engine."""
        self.audio_s_total += report.audio_s
        self._audio_s += report.audio_s
        self._busy_s += report.step_ms / 1000
        if report.passes is not None:
            self.load.observe([one.pass_ms for one in report.passes], now_s)
            self._step_ms.extend(one.pass_ms for one in report.passes)
            self._batches.extend(one.sessions for one in report.passes)
        elif report.batch_size:
            self._step_ms.append(report.step_ms)
            self._batches.append(report.batch_size)

    def observe_latency(self, latency: Latency) -> None:
        self._latency["queue"].append(latency.queue_ms)
        self._latency["model"].append(latency.model_ms)
        self._latency["total"].append(latency.total_ms)

    def latency(self) -> dict[str, Percentiles]:
        return {name: percentiles(values) for name, values in self._latency.items()}

    def step(self) -> Percentiles:
        return percentiles(self._step_ms)

    def take_interval(self) -> tuple[float, float]:
        """(real-time factor, mean batch size) since the last call."""
        factor = self._busy_s / self._audio_s if self._audio_s else 0.0
        batch = sum(self._batches) / len(self._batches) if self._batches else 0.0
        self._reset_interval()
        return round(factor, 4), round(batch, 2)

    def _reset_interval(self) -> None:
        self._audio_s = self._busy_s = 0.0
        self._batches: list[int] = []


def percentiles(values: deque[float]) -> Percentiles:
    """Nearest-rank percentiles."""
    ordered = sorted(values)
    if not ordered:
        return Percentiles()
    return Percentiles(*(round(ordered[min(len(ordered) - 1, int(len(ordered) * q))], 2) for q in (0.5, 0.95, 0.99)))
