"""The Celery application of a worker. Its only task is a session."""

import warnings
from typing import Any, Final

from celery import Celery
from celery.bootsteps import StartStopStep
from celery.exceptions import SecurityWarning
from celery.signals import worker_ready

from shared.celery_config import QUEUES, SESSION_TASK, queue_name
from worker.drain import TASK_WAIT_S
from worker.engines.base import EngineInfo
from worker.runtime import WorkerRuntime

SPARE_CONNECTIONS: Final = 10
"""Connections to the broker besides one for each slot. The number is Celery's default for all."""


def serve_sessions(app: Celery, runtime: WorkerRuntime) -> None:
    """Register the task, and start and stop `runtime` with Celery."""

    @app.task(name=SESSION_TASK, ignore_result=True)
    def session(session_id: str, options: dict[str, Any], key: str = "", **_unknown: Any) -> dict[str, Any]:
        """Serve one session. Unknown arguments of a newer frontend are ignored."""
        return runtime.serve(session_id, options, key)

    @worker_ready.connect(weak=False)
    def announce(**_: Any) -> None:
        runtime.announce()

    class Draining(StartStopStep):
        """Celery waits for its tasks when it stops, by a signal or Flower's button. They end with their sessions."""

        def close(self, _: Any) -> None:
            runtime.stop()

    app.steps["worker"].add(Draining)


def run(app: Celery, runtime: WorkerRuntime, info: EngineInfo, log_level: str) -> int:
    """Consume the tasks of the engine's model until stopped. Celery's main loop; returns its exit status."""
    # Containers run as root. Only JSON is accepted, so a task cannot contain code.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app.conf.broker_transport_options |= {
        "polling_interval": TASK_WAIT_S,
        "max_connections": info.slots + SPARE_CONNECTIONS,  # each slot's thread acknowledges its task itself
    }
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
