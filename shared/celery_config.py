"""What both ends of Celery agree on: the broker, the queues and the task's name.

Frontends dispatch by name and never import the task.
"""

from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qs, quote, urlsplit

from celery import Celery

from shared.celery_internals import QuickAmqp
from shared.config import Settings

SESSION_TASK: Final = "voxtral.session"
Queue: TypeAlias = Literal["stream", "batch"]
"""What a session is queued as: `stream` for live ones, `batch` for recordings."""
QUEUES: Final[tuple[Queue, ...]] = ("stream", "batch")


def queue_name(queue: Queue, model: str) -> str:
    """The queue that workers of this model, and no others, consume: `stream:mistralai/Voxtral-Mini-3B-2507`.

    Models may be paths: what is not plain in a name of Celery's or Redis' is written as in a URL.
    """
    return f"{queue}:{quote(model, safe='/:')}"


def broker_url(settings: Settings) -> str:
    """Redis as Celery is told of it: over TLS it verifies the server's certificate only if the URL says so."""
    url = urlsplit(settings.redis_url)
    if url.scheme != "rediss" or "ssl_cert_reqs" in parse_qs(url.query):
        return settings.redis_url
    return url._replace(query="&".join(filter(None, (url.query, "ssl_cert_reqs=required")))).geturl()


def celery_app(settings: Settings) -> Celery:
    """A Celery application. Tasks travel as JSON only; no results are kept: the event log is the result."""
    app = Celery("voxtral", broker=broker_url(settings), amqp=QuickAmqp)
    options: dict[str, Any] = {
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_acks_late": False,
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,  # Redis may refuse what it is asked for a while: its disk is full
        "broker_transport_options": {"socket_keepalive": True, "socket_connect_timeout": 2.0},
        "worker_cancel_long_running_tasks_on_connection_loss": False,
    }
    app.conf.update(options)
    return app
