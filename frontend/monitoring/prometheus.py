"""Heartbeats and totals as Prometheus metrics. Times are in seconds and sizes in bytes, as is usual for Prometheus."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from frontend.monitoring.process_metrics import ProcessUse, process_metrics
from frontend.monitoring.totals import families_of
from frontend.sessions.running_models import running_models
from shared.bus.registry import FrontendReport, Percentiles, SenderReport, WorkerReport
from shared.version import VERSION

QUANTILES = {"0.5": "p50", "0.95": "p95", "0.99": "p99"}
OLD: Final = "Deprecated, and absent from the next version: "
WORKER_GAUGES: dict[str, tuple[str, Callable[[WorkerReport], float | None]]] = {
    "slots": ("Sessions that the worker can serve at once.", lambda worker: worker.slots),
    "sessions": ("Sessions that the worker serves now.", lambda worker: worker.sessions),
    "draining": ("Whether the worker is draining.", lambda worker: worker.draining),
    "load": ("Time of the longest passes (p99) divided by the audio time of each pass.", lambda worker: worker.load),
    "overloaded": ("Whether the worker rejects new sessions because of its load.", lambda worker: worker.overloaded),
    "lag_seconds": ("Age of the oldest live audio that waits for the model.", lambda worker: worker.lag_ms / 1e3),
    "real_time_factor": ("Processing seconds per second of audio.", lambda worker: worker.real_time_factor),
    "batch_size": ("Mean number of sessions in a step.", lambda worker: worker.batch_size),
    "resident_memory_bytes": (
        OLD + "see process_resident_memory_bytes.",
        lambda worker: worker.rss_bytes,
    ),
    "revisions_pending": ("Finals that wait for the second model.", lambda worker: worker.revisions_pending),
    "gpu_memory_used_bytes": ("Memory in use on the worker's GPU.", lambda worker: worker.gpu_memory_used_bytes),
    "gpu_memory_total_bytes": ("Total memory of the worker's GPU.", lambda worker: worker.gpu_memory_total_bytes),
}
FRONTEND_GAUGES: dict[str, tuple[str, Callable[[FrontendReport], float]]] = {
    "connections": ("Open client connections.", lambda frontend: frontend.connections),
    "sessions": ("Open sessions.", lambda frontend: frontend.sessions),
    "viewers": ("Connected caption viewers.", lambda frontend: frontend.viewers),
    "waiting": ("Recordings that wait for a slot.", lambda frontend: frontend.waiting),
    "orphaned": ("Sessions without a worker.", lambda frontend: frontend.orphaned),
    "resident_memory_bytes": (OLD + "see process_resident_memory_bytes.", lambda frontend: frontend.rss_bytes),
}


def prometheus_text(
    workers: Sequence[WorkerReport],
    frontends: Sequence[FrontendReport],
    *,
    redis_up: bool,
    ready: bool,
    totals: dict[bytes, float] | None = None,
    own: Sequence[ProcessUse] = (),
    senders: Sequence[SenderReport] = (),
) -> bytes:
    """One scrape, in Prometheus' text format. `totals` are those of `Monotone`, None if Redis does not answer; `own`
    are processes that send no heartbeat."""
    uses = [*map(ProcessUse.of, workers), *map(ProcessUse.of, frontends), *map(ProcessUse.of, senders), *own]
    registry = CollectorRegistry()
    registry.register(_Heartbeats(workers, frontends, redis_up=redis_up, ready=ready))
    registry.register(_Collected(families_of(totals)))
    registry.register(_Collected(_of_webhooks(senders)))
    registry.register(_Collected(process_metrics(uses)))
    return generate_latest(registry)


class _Collected:
    """A collector of metrics that are made once."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


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
        yield from _of_models(self._workers)
        yield from _of_workers(self._workers)
        yield from _of_frontends(self._frontends)


def _of_models(workers: Sequence[WorkerReport]) -> Iterable[Metric]:
    slots = GaugeMetricFamily("voxtral_model_slots", "Slots of workers that accept sessions.", labels=["model"])
    used = GaugeMetricFamily(
        "voxtral_model_slots_used", "Slots that sessions have, also at draining workers.", labels=["model"]
    )
    free = GaugeMetricFamily("voxtral_model_slots_free", "Slots that are offered to new sessions.", labels=["model"])
    offered = {model.name: model for model in running_models(workers)}
    for name in sorted({worker.model for worker in workers}):
        model = offered.get(name)
        slots.add_metric([name], model.slots if model else 0)
        used.add_metric([name], sum(worker.slots_taken for worker in workers if worker.model == name))
        free.add_metric([name], model.slots_free if model else 0)
    yield from (slots, used, free)


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
    yield from (sessions, audio, again)


def _of_worker_times(workers: Sequence[WorkerReport]) -> Iterable[Metric]:
    """Percentiles of single workers, which cannot be added up."""
    step = Metric("voxtral_worker_step_seconds", OLD + "see voxtral_step_seconds.", "summary")
    latency = Metric("voxtral_latency_seconds", OLD + "see voxtral_event_latency_seconds.", "summary")
    for worker in workers:
        _add_quantiles(step, {"worker": worker.id}, worker.step)
        for stage, times in worker.latency.items():
            _add_quantiles(latency, {"worker": worker.id, "stage": stage}, times)
    yield from (step, latency)


def _of_frontends(frontends: Sequence[FrontendReport]) -> Iterable[Metric]:
    labels = ["frontend", "kind"]
    for name, (help_text, value) in FRONTEND_GAUGES.items():
        gauge = GaugeMetricFamily(f"voxtral_frontend_{name}", help_text, labels=labels)
        for frontend in frontends:
            gauge.add_metric([frontend.id, frontend.kind], value(frontend))
        yield gauge
    sessions = CounterMetricFamily("voxtral_frontend_sessions_opened", "Sessions opened.", labels=labels)
    received = CounterMetricFamily("voxtral_frontend_received_bytes", "Audio received, as encoded.", labels=labels)
    for frontend in frontends:
        who = [frontend.id, frontend.kind]
        sessions.add_metric(who, frontend.sessions_total)
        received.add_metric(who, frontend.received_bytes_total)
    yield from (sessions, received, _errors(frontends))


def _of_webhooks(senders: Sequence[SenderReport]) -> Iterable[Metric]:
    """Each sender reports the counts of the whole service."""
    running = GaugeMetricFamily("voxtral_webhook_senders", "Processes that send webhooks.")
    running.add_metric([], len(senders))
    pending = GaugeMetricFamily("voxtral_webhook_pending", "Events that wait to be sent to webhooks.")
    for count in sorted((sender.pending for sender in senders), reverse=True)[:1]:
        pending.add_metric([], count)
    yield from (running, pending)


def _errors(frontends: Sequence[FrontendReport]) -> Metric:
    errors = CounterMetricFamily(
        "voxtral_frontend_errors", OLD + "see voxtral_errors_total.", labels=["frontend", "code"]
    )
    for frontend in frontends:
        for code, count in frontend.errors.items():
            errors.add_metric([frontend.id, code], count)
    return errors


def _add_quantiles(summary: Metric, labels: dict[str, str], times: Percentiles) -> None:
    for quantile, name in QUANTILES.items():
        summary.add_sample(summary.name, labels | {"quantile": quantile}, getattr(times, name) / 1e3)
