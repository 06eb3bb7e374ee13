"""The Celery settings that frontends and workers share: the broker, the queues and the task's name.

Frontends dispatch by name and never import the task.
"""

from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qs, quote, urlsplit

from celery import Celery

from shared.bus.primary import Primary
from shared.celery_internals import QuickAmqp
from shared.config.settings import Settings
from shared.redis_address import shown_node

SESSION_TASK: Final = "voxtral.session"
Queue: TypeAlias = Literal["stream", "batch"]
"""The kind of a session's queue: `stream` for live sessions, `batch` for recordings."""
QUEUES: Final[tuple[Queue, ...]] = ("stream", "batch")


def queue_name(queue: Queue, model: str) -> str:
    """The queue that only workers of this model consume: `stream:mistralai/Voxtral-Mini-3B-2507`.

    Models may be paths: characters that are special in names of Celery or Redis are percent-encoded.
    """
    return f"{queue}:{quote(model, safe='/:')}"


def broker_url(settings: Settings) -> str:
    """The URL of Redis for Celery, which verifies the server's TLS certificate only if the URL requests it."""
    address = settings.broker_at
    if address.is_sentinel:
        return ";".join(f"sentinel://{shown_node(node)}/{address.db}" for node in address.nodes)
    url = urlsplit(settings.broker_url)
    if url.scheme != "rediss" or "ssl_cert_reqs" in parse_qs(url.query):
        return settings.broker_url
    return url._replace(query="&".join(filter(None, (url.query, "ssl_cert_reqs=required")))).geturl()


def celery_app(settings: Settings) -> Celery:
    """A Celery application. Tasks are JSON only. No results are kept: the event log is the result."""
    app = Celery("voxtral", broker=broker_url(settings), amqp=QuickAmqp)
    address = settings.broker_at
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
        "broker_channel_error_retry": True,  # Redis may reject commands for a while, for example with a full disk
        "broker_transport_options": {"socket_keepalive": True, "socket_connect_timeout": 2.0},
        "worker_cancel_long_running_tasks_on_connection_loss": False,
    }
    if address.is_sentinel:
        options["broker_transport_options"]["primary"] = Primary.of(address).name
        if address.has_tls:  # otherwise the URL says it
            options["broker_use_ssl"] = {"ssl_cert_reqs": "required"} | address.tls_options
    app.conf.update(options)
    return app
