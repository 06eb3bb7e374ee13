"""The container's health: `python -m compose.healthcheck [PROCESS] [--alive]` ends with 0 if the process works.

Otherwise it prints why not. Without a process it asks `/ready` of the health port. With the name of a process
(`worker`, `websocket`, `tcp`, `web`, `webhooks`) it checks that this process of this host has reported to Redis within
the last seconds: a worker does so as soon as its model is warm, and none does while it hangs. With `--alive` a process
counts as working while Redis does not answer, since a restart would not help.
"""

import argparse
import asyncio
import socket
import sys

from compose.readiness import why_not_ready
from frontend.servers.tls import probe_context
from shared.config.settings import Settings, load_settings
from shared.errors import StartupError

TIMEOUT_S = 3.0
WORKER = "worker"
WEBHOOKS = "webhooks"
REPORTING = (WORKER, "websocket", "tcp", "web", WEBHOOKS)
"""The processes that report to Redis."""


def main(process: str | None, *, alive: bool = False) -> int:
    """The exit status: 0 if healthy, else 1, after a sentence on stderr."""
    try:
        found = fault(process, load_settings(), alive=alive)
    except StartupError as error:
        found = str(error)
    if found:
        print(found, file=sys.stderr)
    return 1 if found else 0


def fault(process: str | None, settings: Settings, *, alive: bool = False) -> str | None:
    """Why it is not healthy, as a sentence; None if it is. `process` is one of `REPORTING`."""
    if process is None:
        reason = asyncio.run(why_not_ready(settings, probe_context(settings)))
        return reason and f"The service is not ready: {reason.rstrip('.')}."
    from redis.exceptions import RedisError  # noqa: PLC0415 -- a third of the time of the other check

    try:
        hosts = asyncio.run(_hosts(settings, process))
    except (RedisError, OSError):
        return None if alive else "Redis does not answer."
    if socket.gethostname() in hosts:
        return None
    return f"No process {process} of this host has reported to Redis within the last seconds."


async def _hosts(settings: Settings, process: str) -> set[str]:
    """Those on which this process runs."""
    from shared.bus.connect import connect  # noqa: PLC0415
    from shared.bus.lua.sessions import Scripts  # noqa: PLC0415
    from shared.bus.registry import Registry  # noqa: PLC0415

    redis = connect(settings)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            registry = Registry(redis, Scripts(redis))
            if process == WORKER:
                return {worker.host for worker in await registry.workers()}
            if process == WEBHOOKS:
                return {sender.host for sender in await registry.senders()}
            return {frontend.host for frontend in await registry.frontends() if frontend.kind == process}
    finally:
        await redis.aclose()


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compose.healthcheck", description="Check a process.")
    parser.add_argument("process", nargs="?", choices=REPORTING, metavar="process", help=", ".join(REPORTING))
    parser.add_argument("--alive", action="store_true", help="count a process as working while Redis does not answer")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = _parsed()
    sys.exit(main(arguments.process, alive=arguments.alive))
