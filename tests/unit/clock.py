"""A virtual clock for a test: time passes only when all tasks wait, and then at once."""

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import patch


class _Selector(selectors.DefaultSelector):
    """Never waits: it advances the clock by the time that the loop would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "all tasks wait for something that never happens"
            self.now_s += max(0.0, timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s

    def pass_s(self, seconds: float) -> None:
        self._clock.now_s += seconds


def block(seconds: float) -> None:
    """The running task of a test with this clock keeps its event loop busy for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _Loop)
    loop.pass_s(seconds)


def clocked(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an asynchronous test on a loop with such a clock, which `time.monotonic` returns too."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner, patch.object(time, "monotonic", runner.get_loop().time):
            runner.run(test(*arguments, **named))

    return run
