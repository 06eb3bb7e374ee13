"""Celery's main loop in a process of ours: it takes tasks from queues, and runs each in a thread."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

from celery import Celery
from celery.bootsteps import StartStopStep
from celery.exceptions import SecurityWarning

TASK_WAIT_S: Final = 0.25
"""How long Celery waits for a task at a time. A task that arrives while a worker stops or hangs ends that wait."""
SPARE_CONNECTIONS: Final = 10
"""Connections to the broker besides one for each thread. The number is Celery's default for all."""


def consume(
    app: Celery, queues: Sequence[str], *, name: str, threads: int, log_level: str, on_stop: Callable[[], None]
) -> int:
    """Run the tasks of these queues until Celery is stopped, by a signal or Flower's button. Returns its exit status.

    `name` is that of the process in Flower. `on_stop` is called when Celery begins to stop: it then waits for its
    tasks, which must end.
    """
    # Containers may run as root. Only JSON is accepted, so a task cannot contain code.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app.conf.broker_transport_options |= {
        "polling_interval": TASK_WAIT_S,
        "max_connections": threads + SPARE_CONNECTIONS,  # each thread acknowledges its task itself
    }

    class Stopping(StartStopStep):
        def close(self, _: Any) -> None:
            on_stop()

    app.steps["worker"].add(Stopping)
    worker = app.Worker(
        hostname=name,
        pool="threads",
        concurrency=threads,
        queues=list(queues),
        loglevel=log_level,
        quiet=True,
        without_mingle=True,
        without_gossip=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
