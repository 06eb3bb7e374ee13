"""Celery's dashboard: `python -m compose.flower` runs Flower with stricter access rules than its own.

Without `flower.basic_auth` it listens on loopback, and answers only to the host names of this machine. With it,
`/metrics` requires the password like every other page, except `/healthcheck`, which only answers OK. Secrets (broker
URL, password) are never on a command line, which every user of the machine can read.
"""

import os
import sys
import warnings
from typing import Any

from frontend.access.hosts import Hosts
from frontend.servers.tls import server_context
from shared.bus.connect import connect_to
from shared.celery_config import broker_url, celery_app
from shared.config.settings import Settings
from shared.entry import run_process
from shared.errors import ForbiddenError

TASKS_KEPT = 2000
"""Flower keeps tasks in memory; its default is 100 000."""
LOOPBACK = "127.0.0.1"


def main(settings: Settings) -> None:
    os.environ["CELERY_BROKER_URL"] = broker_url(settings)  # read when Celery is imported
    warnings.simplefilter("ignore")
    from celery.__main__ import main as run_celery  # noqa: PLC0415

    if settings.broker_at.is_sentinel:  # its connections need more than a URL
        celery_app(settings).set_default()
        _read_queues_of_primary(settings)
    _restrict_handlers(settings)
    if settings.flower.basic_auth:
        _require(settings.flower.basic_auth.get_secret_value())
    sys.argv = ["celery", "flower", *_options(settings)]
    run_celery()


def _require(credentials: str) -> None:
    """Let in only clients with these. Flower would split the value of its own variable at commas."""
    import flower.options  # noqa: F401, PLC0415 -- defines the option
    from tornado.options import options  # noqa: PLC0415

    os.environ.pop("FLOWER_BASIC_AUTH", None)
    options.basic_auth = [credentials]


def _address(settings: Settings) -> str:
    return settings.server.host if settings.flower.basic_auth else LOOPBACK


def _options(settings: Settings) -> list[str]:
    return [
        f"--port={settings.flower.port}",
        f"--address={_address(settings)}",
        f"--max-tasks={TASKS_KEPT}",
        "--purge-offline-workers=60",
        "--logging=error",
    ]


def _restrict_handlers(settings: Settings) -> None:
    """Change Flower's handlers before they become its application."""
    from flower.urls import settings as options  # noqa: PLC0415
    from flower.views import BaseHandler  # noqa: PLC0415
    from flower.views.monitor import Metrics  # noqa: PLC0415
    from tornado.web import HTTPError, authenticated  # noqa: PLC0415

    hosts = Hosts(settings, _address(settings))
    usual = BaseHandler.prepare

    def prepare(handler: Any) -> Any:
        try:
            hosts.check(handler.request.headers.get_list("Host"))
        except ForbiddenError as error:
            raise HTTPError(403, error.message) from None
        return usual(handler)

    BaseHandler.prepare = prepare
    Metrics.get = authenticated(Metrics.get)
    if settings.flower.basic_auth:
        options["ssl_options"] = server_context(settings)


def _read_queues_of_primary(settings: Settings) -> None:
    """Let Flower's page of the broker read the queues over a client of ours: it has the passwords and TLS."""
    from flower.utils.broker import RedisSentinel  # noqa: PLC0415

    RedisSentinel._prepare_master_name = lambda *_: settings.broker_at.service
    RedisSentinel._get_redis_client = lambda *_: connect_to(settings.broker_at)


if __name__ == "__main__":
    sys.exit(run_process(main, "flower"))
