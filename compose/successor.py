"""Keeps a worker serving until others can replace it: `python -m compose.successor SECONDS`.

It runs before a worker in a container is stopped. A worker that stops hands its sessions over to other workers at once,
but if its node is drained, the worker that replaces it only begins to load its model, and until that is warm nobody
accepts new sessions. So this waits until the other workers of the same model have free slots for all sessions of this
host's workers, for the given seconds at most. It changes nothing: SIGTERM starts the handover.
"""

import argparse
import asyncio
import contextlib
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final

from redis.exceptions import RedisError

from shared.bus.connect import connect
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import Registry, WorkerReport
from shared.config.settings import Settings, load_settings
from shared.errors import StartupError

POLL_S: Final = 0.5


def can_stop(workers: Sequence[WorkerReport], host: str) -> bool:
    """Whether the sessions of all workers of this host find a slot elsewhere, or a new one does if they have none.

    True if this host has no worker that serves: its model is not warm, or it is draining.
    """
    taken: Counter[str] = Counter()
    free: Counter[str] = Counter()
    for worker in workers:
        if worker.host != host and not worker.draining:
            free[worker.model] += worker.slots_free
        elif not worker.draining:
            taken[worker.model] += worker.slots_taken
    return all(free[model] >= max(1, slots) for model, slots in taken.items())


async def wait(settings: Settings, limit_s: float) -> bool:
    """Wait until `can_stop`; False if it is not true within the limit. An outage of Redis is waited for, too."""
    redis = connect(settings)
    registry = Registry(redis, Scripts(redis))
    try:
        async with asyncio.timeout(limit_s):
            while True:
                with contextlib.suppress(RedisError, OSError):
                    if can_stop(await registry.workers(), socket.gethostname()):
                        return True
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        return False
    finally:
        await redis.aclose()


def main(limit_s: float) -> int:
    """The exit status: 0 if other workers can take over; else 1, after a sentence on stderr."""
    try:
        if asyncio.run(wait(load_settings(), limit_s)):
            return 0
    except StartupError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"No other workers had room for the sessions of this host within {limit_s:g} s.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m compose.successor", description="Wait until other workers can take over."
    )
    parser.add_argument("seconds", type=float, help="wait for so long at most")
    sys.exit(main(parser.parse_args().seconds))
