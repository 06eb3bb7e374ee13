"""A device that is late: it copies what was sent, and runs the pass, when the host asks for the result and no sooner.

A GPU may do so. On a CPU copies are finished at once, so that an error in their order shows only here.
"""

from collections.abc import Callable
from typing import Any

import pytest

from worker.engines.staging import Staged
from worker.engines.voxtral_realtime.passes import Passes


class _LateTokens:
    def __init__(self, finish: Callable[[], Any]) -> None:
        self._finish = finish

    def __getitem__(self, rows: slice) -> "_LateTokens":
        return _LateTokens(lambda: self._finish()[rows])

    def tolist(self) -> list[int]:
        tokens: list[int] = self._finish().tolist()
        return tokens


def make_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every staged copy and every pass wait until their result is read."""
    waiting: list[Callable[[], None]] = []
    plain_send, plain_run = Staged.send, Passes.run

    def send(self: Staged, rows: int) -> None:
        waiting.append(lambda: plain_send(self, rows))

    def run(self: Passes, batch: int, positions: int) -> _LateTokens:
        def finish() -> Any:
            for copy in waiting:
                copy()
            waiting.clear()
            return plain_run(self, batch, positions)

        return _LateTokens(finish)

    monkeypatch.setattr(Staged, "send", send)
    monkeypatch.setattr(Passes, "run", run)
