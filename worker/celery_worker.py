"""The Celery application of a worker. Its only task is a session."""

from typing import Any

from celery import Celery
from celery.signals import worker_ready

from shared.celery_config import QUEUES, SESSION_TASK, queue_name
from worker.celery_loop import consume
from worker.engines.base import EngineInfo
from worker.runtime import WorkerRuntime


def serve_sessions(app: Celery, runtime: WorkerRuntime, info: EngineInfo, log_level: str) -> int:
    """Serve the sessions of the engine's model with `runtime` until stopped. Celery's main loop; returns its exit
    status."""

    @app.task(name=SESSION_TASK, ignore_result=True)
    def session(session_id: str, options: dict[str, Any], key: str = "", **_unknown: Any) -> dict[str, Any]:
        """Serve one session. Unknown arguments of a newer frontend are ignored."""
        return runtime.serve(session_id, options, key)

    @worker_ready.connect(weak=False)
    def announce(**_: Any) -> None:
        runtime.announce()

    queues = [queue_name(queue, info.model) for queue in QUEUES]
    return consume(app, queues, name=runtime.id, threads=info.slots, log_level=log_level, on_stop=runtime.stop)
