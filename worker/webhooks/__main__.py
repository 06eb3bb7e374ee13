"""The process that sends webhooks: `python -m worker.webhooks`. It loads no model.

If `webhooks.enabled` is false it only waits until it is stopped, since a Procfile starts all of its programs.
"""

import sys
from collections.abc import Callable
from typing import Any, Final

import structlog
from celery import Celery

from shared.celery_config import celery_app
from shared.celery_internals import expire_queue
from shared.config.settings import Settings
from shared.dispatch import REPLY_TIMEOUT_S
from shared.entry import run_process, stand_by
from worker.celery_loop import consume
from worker.webhooks.sender import Sender

TASK: Final = "voxtral.webhook"

log = structlog.get_logger(__name__)


def main(settings: Settings) -> int:
    if not settings.webhooks.enabled:
        stand_by("webhooks_disabled")
        return 0
    sender = Sender(settings)
    app = celery_app(settings)
    app.conf.broker_transport_options |= {"socket_timeout": REPLY_TIMEOUT_S}
    sender.start(_dispatch_to(app, sender))
    log.info("webhooks_started", concurrency=settings.webhooks.concurrency)
    try:
        return _serve(app, sender, settings)
    finally:
        sender.join()


def _serve(app: Celery, sender: Sender, settings: Settings) -> int:
    """Celery's main loop; returns its exit status."""

    @app.task(name=TASK, ignore_result=True)
    def webhook(name: str) -> dict[str, Any]:
        """Attempt to send one event. `name` is `{session id}/{seq}`: its text is in Redis only."""
        return sender.attempt(name)

    return consume(
        app,
        [sender.queue],
        name=f"webhooks@{sender.id}",
        threads=settings.webhooks.concurrency,
        log_level=settings.logs.level,
        on_stop=sender.stop,
    )


def _dispatch_to(app: Celery, sender: Sender) -> Callable[[str], None]:
    def dispatch(name: str) -> None:
        with app.producer_or_acquire() as producer:
            app.send_task(TASK, args=(name,), queue=sender.queue, ignore_result=True, producer=producer)
            expire_queue(producer, sender.queue, sender.lease_s)  # what is left in it then is due again

    return dispatch


if __name__ == "__main__":
    sys.exit(run_process(main, "webhooks"))
