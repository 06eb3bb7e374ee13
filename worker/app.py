"""The Celery application of a worker: one task, which is a session."""

import warnings
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import worker_shutting_down

from shared.celery_config import QUEUES, SESSION_TASK, celery_app, queue_name
from shared.config import Settings
from worker.engines.base import EngineInfo
from worker.runtime import WorkerRuntime


def worker_app(settings: Settings, runtime: WorkerRuntime) -> Celery:
    """An application whose session task is served by `runtime`."""
    app = celery_app(settings)

    @app.task(name=SESSION_TASK, ignore_result=True)
    def session(session_id: str, options: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 -- Flower shows the options
        return runtime.serve(session_id)

    @worker_shutting_down.connect(weak=False)
    def release_pool_threads(**_: Any) -> None:
        runtime.stop()

    return app


def run(app: Celery, runtime: WorkerRuntime, info: EngineInfo, log_level: str) -> int:
    """Consume the tasks of the engine's model until told to stop. Celery's main loop; returns its exit status."""
    # Containers run as root. Only JSON is accepted, so no task can bring code.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = app.Worker(
        hostname=runtime.id,
        pool="threads",
        concurrency=info.slots,
        queues=[queue_name(queue, info.model) for queue in QUEUES],
        loglevel=log_level,
        quiet=True,
        without_mingle=True,
        without_gossip=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
