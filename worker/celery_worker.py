"""The Celery application of a worker: one task, which is a session."""

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
"""To the broker, beside one for each slot: Celery's own default for all."""


def serve_sessions(app: Celery, runtime: WorkerRuntime) -> None:
    """Give the application its task, and let `runtime` begin and end with Celery."""

    @app.task(name=SESSION_TASK, ignore_result=True)
    def session(session_id: str, options: dict[str, Any], **_unknown: Any) -> dict[str, Any]:
        """A newer frontend may say more than this worker knows."""
        return runtime.serve(session_id, options)

    @worker_ready.connect(weak=False)
    def announce(**_: Any) -> None:
        runtime.announce()

    class Draining(StartStopStep):
        """Celery waits for the tasks when it stops, on a signal or by Flower's button. They end with their sessions."""

        def close(self, _: Any) -> None:
            runtime.stop()

    app.steps["worker"].add(Draining)


def run(app: Celery, runtime: WorkerRuntime, info: EngineInfo, log_level: str) -> int:
    """Consume the tasks of the engine's model until told to stop. Celery's main loop; returns its exit status."""
    # Containers run as root. Only JSON is accepted, so no task can bring code.
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
