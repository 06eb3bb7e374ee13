"""The process that sends webhooks: `python -m worker.webhooks`. It loads no model.

If `webhooks.enabled` is false it only waits until it is stopped, since a Procfile starts all of its programs.
"""

import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

import structlog
from celery import Celery
from celery.bootsteps import StartStopStep
from celery.exceptions import SecurityWarning

from shared.celery_config import celery_app
from shared.celery_internals import expire_queue
from shared.config.settings import Settings
from shared.dispatch import REPLY_TIMEOUT_S
from shared.entry import run_process
from worker.webhooks.sender import Sender

TASK: Final = "voxtral.webhook"
TASK_WAIT_S: Final = 0.25
"""How long Celery waits for a task at a time."""
SPARE_CONNECTIONS: Final = 10
ENDING: Final = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger(__name__)


def main(settings: Settings) -> int:
    if not settings.webhooks.enabled:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        log.info("webhooks_disabled")
        signal.sigwait(ENDING)
        return 0
    sender = Sender(settings)
    app = celery_app(settings)
    app.conf.broker_transport_options |= {
        "polling_interval": TASK_WAIT_S,
        "max_connections": settings.webhooks.concurrency + SPARE_CONNECTIONS,
        "socket_timeout": REPLY_TIMEOUT_S,
    }
    _serve(app, sender)
    sender.start(_dispatch_to(app, sender))
    log.info("webhooks_started", concurrency=settings.webhooks.concurrency)
    try:
        return _run(app, sender, settings)
    finally:
        sender.join()


def _serve(app: Celery, sender: Sender) -> None:
    """Register the task, and stop `sender` with Celery."""

    @app.task(name=TASK, ignore_result=True)
    def webhook(name: str) -> dict[str, Any]:
        """Attempt to send one event. `name` is `{session id}/{seq}`: its text is in Redis only."""
        return sender.attempt(name)

    class Stopping(StartStopStep):
        """Celery waits for the attempts that run when it stops."""

        def close(self, _: Any) -> None:
            sender.stop()

    app.steps["worker"].add(Stopping)


def _dispatch_to(app: Celery, sender: Sender) -> Callable[[str], None]:
    def dispatch(name: str) -> None:
        with app.producer_or_acquire() as producer:
            app.send_task(TASK, args=(name,), queue=sender.queue, ignore_result=True, producer=producer)
            expire_queue(producer, sender.queue, sender.lease_s)  # what is left in it then is due again

    return dispatch


def _run(app: Celery, sender: Sender, settings: Settings) -> int:
    """Celery's main loop; returns its exit status."""
    # Containers may run as root. Only JSON is accepted, so a task cannot contain code.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = app.Worker(
        hostname=f"webhooks@{sender.id}",
        pool="threads",
        concurrency=settings.webhooks.concurrency,
        queues=[sender.queue],
        loglevel=settings.logs.level,
        quiet=True,
        without_mingle=True,
        without_gossip=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(run_process(main, "webhooks"))
