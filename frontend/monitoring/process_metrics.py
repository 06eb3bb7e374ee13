"""The standard metrics of processes (`process_…`), of every process of the service, by its id and kind; and the delay
of the event loop of those that live audio and text pass through."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from shared.bus.registry import FrontendReport, SenderReport, WorkerReport

CPU: Final = ("process_cpu_seconds", "User and system CPU time.")
LOOP_DELAY: Final = "voxtral_event_loop_delay_seconds"
GAUGES: Final = {
    "process_resident_memory_bytes": "Resident memory.",
    "process_virtual_memory_bytes": "Virtual memory.",
    "process_open_fds": "Open file descriptors.",
    "process_max_fds": "Limit for open file descriptors.",
    LOOP_DELAY: "The longest delay of the event loop in the last minute.",
}
LABELS: Final = ("process", "kind")
_KINDS: Final[dict[type, str]] = {WorkerReport: "worker", SenderReport: "webhooks"}


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What one process uses, by the names of `shared.process.resources`, and the delay of its event loop."""

    id: str
    kind: str
    """`worker`, `websocket`, `tcp`, `web`, `webhooks` or `health`."""
    started_at: float
    resources: dict[str, float]

    @classmethod
    def of(cls, report: WorkerReport | FrontendReport | SenderReport) -> Self:
        kind = report.kind if isinstance(report, FrontendReport) else _KINDS[type(report)]
        delay = {} if isinstance(report, SenderReport) else {LOOP_DELAY: report.event_loop_delay_ms / 1e3}
        return cls(report.id, kind, report.started_at, report.resources | delay)


def process_metrics(uses: Sequence[ProcessUse]) -> Iterator[Metric]:
    """A process of an older version has only a start time."""
    cpu_time = CounterMetricFamily(*CPU, labels=LABELS)
    started = GaugeMetricFamily("process_start_time_seconds", "Start of the process, as Unix time.", labels=LABELS)
    for use in uses:
        started.add_metric((use.id, use.kind), use.started_at)
    for use in _with(CPU[0], uses):
        cpu_time.add_metric((use.id, use.kind), use.resources[CPU[0]])
    yield from (cpu_time, started)
    for name, help_text in GAUGES.items():
        gauge = GaugeMetricFamily(name, help_text, labels=LABELS)
        for use in _with(name, uses):
            gauge.add_metric((use.id, use.kind), use.resources[name])
        yield gauge


def _with(name: str, uses: Iterable[ProcessUse]) -> Iterator[ProcessUse]:
    return (use for use in uses if name in use.resources)
