"""Heartbeats as Prometheus metrics. Times are in seconds and sizes in bytes, as is usual for Prometheus."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from shared.bus.registry import FrontendReport, Percentiles, WorkerReport
from shared.version import VERSION

QUANTILES = {"0.5": "p50", "0.95": "p95", "0.99": "p99"}
WORKER_GAUGES: dict[str, tuple[str, Callable[[WorkerReport], float | None]]] = {
    "slots": ("Sessions that the worker can serve at once.", lambda worker: worker.slots),
    "sessions": ("Sessions that the worker serves now.", lambda worker: worker.sessions),
    "draining": ("Whether the worker is draining.", lambda worker: worker.draining),
    "load": ("Time of the longest passes (p99) divided by the audio time of each pass.", lambda worker: worker.load),
    "overloaded": ("Whether the worker rejects new sessions because of its load.", lambda worker: worker.overloaded),
    "lag_seconds": ("Age of the oldest audio that waits for the model.", lambda worker: worker.lag_ms / 1e3),
    "real_time_factor": ("Processing seconds per second of audio.", lambda worker: worker.real_time_factor),
    "batch_size": ("Mean number of sessions in a step.", lambda worker: worker.batch_size),
    "resident_memory_bytes": ("Resident memory of the process.", lambda worker: worker.rss_bytes),
    "gpu_memory_used_bytes": ("Memory in use on the worker's GPU.", lambda worker: worker.gpu_memory_used_bytes),
    "gpu_memory_total_bytes": ("Total memory of the worker's GPU.", lambda worker: worker.gpu_memory_total_bytes),
}


def prometheus_text(
    workers: Sequence[WorkerReport], frontends: Sequence[FrontendReport], *, redis_up: bool, ready: bool
) -> bytes:
    """One scrape, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Heartbeats(workers, frontends, redis_up=redis_up, ready=ready))
    return generate_latest(registry)


class _Heartbeats:
    """A collector of one snapshot."""

    def __init__(
        self, workers: Sequence[WorkerReport], frontends: Sequence[FrontendReport], *, redis_up: bool, ready: bool
    ) -> None:
        self._workers = workers
        self._frontends = frontends
        self._redis_up = redis_up
        self._ready = ready

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("voxtral_redis_up", "Whether Redis answers.", float(self._redis_up))
        yield GaugeMetricFamily("voxtral_ready", "Whether a new session would be accepted.", float(self._ready))
        info = GaugeMetricFamily("voxtral_build_info", "Version of the health process.", labels=["version"])
        info.add_metric([VERSION], 1)
        yield info
        yield from _of_workers(self._workers)
        yield from _of_frontends(self._frontends)


def _of_workers(workers: Sequence[WorkerReport]) -> Iterable[Metric]:
    info = GaugeMetricFamily(
        "voxtral_worker_info",
        "Engine, model and device of a worker.",
        labels=["worker", "host", "engine", "model", "device", "compute_type", "version"],
    )
    for worker in workers:
        about = (worker.host, worker.engine, worker.model, worker.device, worker.compute_type, worker.version)
        info.add_metric([worker.id, *about], 1)
    yield info
    for name, (help_text, value) in WORKER_GAUGES.items():
        gauge = GaugeMetricFamily(f"voxtral_worker_{name}", help_text, labels=["worker"])
        for worker in workers:
            if (number := value(worker)) is not None:
                gauge.add_metric([worker.id], float(number))
        yield gauge
    yield from _of_worker_times(workers)
    sessions = CounterMetricFamily("voxtral_worker_sessions_begun", "Sessions started.", labels=["worker"])
    audio = CounterMetricFamily("voxtral_worker_audio_seconds", "Audio processed.", labels=["worker"])
    again = CounterMetricFamily(
        "voxtral_worker_heard_again", "Speech without any text that was processed again.", labels=["worker"]
    )
    for worker in workers:
        sessions.add_metric([worker.id], worker.sessions_total)
        again.add_metric([worker.id], worker.heard_again_total)
        audio.add_metric([worker.id], worker.audio_s_total)
    yield from (sessions, audio, again, _errors("worker", workers))


def _of_worker_times(workers: Sequence[WorkerReport]) -> Iterable[Metric]:
    step = GaugeMetricFamily("voxtral_worker_step_seconds", "Time of one batched step.", labels=["worker", "quantile"])
    latency = GaugeMetricFamily(
        "voxtral_latency_seconds",
        "From the arrival of the last audio of a text to the text, by stage.",
        labels=["worker", "stage", "quantile"],
    )
    for worker in workers:
        _add_quantiles(step, [worker.id], worker.step)
        for stage, times in worker.latency.items():
            _add_quantiles(latency, [worker.id, stage], times)
    yield from (step, latency)


def _of_frontends(frontends: Sequence[FrontendReport]) -> Iterable[Metric]:
    labels = ["frontend", "kind"]
    connections = GaugeMetricFamily("voxtral_frontend_connections", "Open client connections.", labels=labels)
    open_sessions = GaugeMetricFamily("voxtral_frontend_sessions", "Open sessions.", labels=labels)
    viewers = GaugeMetricFamily("voxtral_frontend_viewers", "Connected caption viewers.", labels=labels)
    memory = GaugeMetricFamily("voxtral_frontend_resident_memory_bytes", "Resident memory.", labels=labels)
    sessions = CounterMetricFamily("voxtral_frontend_sessions_opened", "Sessions opened.", labels=labels)
    received = CounterMetricFamily("voxtral_frontend_received_bytes", "Audio received, as encoded.", labels=labels)
    for frontend in frontends:
        who = [frontend.id, frontend.kind]
        connections.add_metric(who, frontend.connections)
        open_sessions.add_metric(who, frontend.sessions)
        viewers.add_metric(who, frontend.viewers)
        memory.add_metric(who, frontend.rss_bytes)
        sessions.add_metric(who, frontend.sessions_total)
        received.add_metric(who, frontend.received_bytes_total)
    yield from (connections, open_sessions, viewers, memory, sessions, received, _errors("frontend", frontends))


def _errors(kind: str, reports: Sequence[WorkerReport] | Sequence[FrontendReport]) -> Metric:
    errors = CounterMetricFamily(f"voxtral_{kind}_errors", "Errors by code.", labels=[kind, "code"])
    for report in reports:
        for code, count in report.errors.items():
            errors.add_metric([report.id, code], count)
    return errors


def _add_quantiles(gauge: GaugeMetricFamily, labels: list[str], times: Percentiles) -> None:
    for quantile, name in QUANTILES.items():
        gauge.add_metric([*labels, quantile], getattr(times, name) / 1e3)
