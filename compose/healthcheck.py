"""The container's health: `python -m compose.healthcheck [CHECK] [--alive]` ends with 0 if the process works.

Without a check it asks `/ready` of the health port. With a port it only checks that something accepts connections
there. With the name of a process (`worker`, `websocket`, `tcp`, `web`, `webhooks`) it checks that this process of this
host has reported to Redis within the last seconds: a worker does so as soon as its model is warm, and none does while
it hangs. With `--alive` a process counts as working while Redis does not answer, since a restart would not help.
"""

import argparse
import asyncio
import http.client
import socket
import sys

from redis.exceptions import RedisError

from frontend.servers.tls import probe_context
from shared.bus.connect import connect
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import Registry
from shared.config.settings import Settings, load_settings

TIMEOUT_S = 3.0
WORKER = "worker"
WEBHOOKS = "webhooks"
REPORTING = (WORKER, "websocket", "tcp", "web", WEBHOOKS)
"""The processes that report to Redis."""


def main(check: int | str | None, settings: Settings, *, alive: bool = False) -> int:
    """The exit status: 0 if healthy, else 1. `check` is a port or one of `REPORTING`."""
    try:
        if check is None:
            healthy = _answers(settings)
        elif isinstance(check, int):
            healthy = _listens(check)
        else:
            healthy = asyncio.run(_reports(settings, check))
    except RedisError:
        healthy = alive
    except (OSError, http.client.HTTPException):
        healthy = alive and isinstance(check, str)
    return 0 if healthy else 1


def _answers(settings: Settings) -> bool:
    port = settings.server.health_port
    tls = probe_context(settings)
    if tls is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=TIMEOUT_S, context=tls)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S):
        return True


async def _reports(settings: Settings, process: str) -> bool:
    redis = connect(settings)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            registry = Registry(redis, Scripts(redis))
            if process == WORKER:
                hosts = {worker.host for worker in await registry.workers()}
            elif process == WEBHOOKS:
                hosts = {sender.host for sender in await registry.senders()}
            else:
                hosts = {frontend.host for frontend in await registry.frontends() if frontend.kind == process}
    finally:
        await redis.aclose()
    return socket.gethostname() in hosts


def _check(text: str) -> int | str:
    if text not in REPORTING and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a port nor one of {', '.join(REPORTING)}")
    return text if text in REPORTING else int(text)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compose.healthcheck", description="Check a process.")
    parser.add_argument("check", nargs="?", type=_check, help=f"a port, or one of {', '.join(REPORTING)}")
    parser.add_argument("--alive", action="store_true", help="count a process as working while Redis does not answer")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = _parsed()
    sys.exit(main(arguments.check, load_settings(), alive=arguments.alive))
