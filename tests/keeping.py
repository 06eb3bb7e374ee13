"""Services that the tests of several files use: started once, and stopped when no test has used them for a while.

An idle service uses 2 % of a core. Its next start takes 0.4 s of a core with the echo engine, and 2.8 s with Whisper.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from tests.stack import Stack

WAIT_S: Final = 40.0
"""In this time an idle service uses 0.9 s of a core, between the starts of the two kinds."""


@dataclass
class Kept:
    """A service that runs."""

    running: AbstractContextManager[Stack]
    stack: Stack
    users: int = 0
    unused_since_s: float = 0.0


class Services:
    """The services of one process of tests, by name."""

    def __init__(self, wait_s: float = WAIT_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept: dict[str, Kept] = {}
        self._wait_s = wait_s
        self._clock = clock

    @contextmanager
    def lent(self, name: str, start: Callable[[], AbstractContextManager[Stack]]) -> Iterator[Stack]:
        """The service of this name, which is started unless it runs."""
        if name not in self._kept:
            running = start()
            self._kept[name] = Kept(running, running.__enter__())
        kept = self._kept[name]
        kept.users += 1
        try:
            yield kept.stack
        finally:
            kept.users -= 1
            kept.unused_since_s = self._clock()

    def stop_unused(self) -> None:
        """Stop those that have waited for too long. Costs nothing if there is none."""
        for name, kept in list(self._kept.items()):
            if not kept.users and self._clock() - kept.unused_since_s > self._wait_s:
                self._stop(name)

    def stop_all(self) -> None:
        with ExitStack() as stack:  # one that fails to stop keeps no other one running
            for name in self._kept:
                stack.callback(self._stop, name)

    def _stop(self, name: str) -> None:
        self._kept.pop(name).running.__exit__(None, None, None)
