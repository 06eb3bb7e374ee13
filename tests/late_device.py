"""A device that is late: it copies what was sent, and runs the pass, when the host asks for the result and no sooner.

A GPU may do so. On a CPU copies are finished at once, so that an error in their order shows only here.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from torch import Tensor

from worker.engines.staging import Staged
from worker.engines.voxtral.steps import RunningRow, Steps
from worker.engines.voxtral_realtime.passes import Passes


class _LateTokens:
    def __init__(self, finish: Callable[[], Any]) -> None:
        self._finish = finish

    def __getitem__(self, rows: slice) -> "_LateTokens":
        return _LateTokens(lambda: self._finish()[rows])

    def tolist(self) -> list[int]:
        tokens: list[int] = self._finish().tolist()
        return tokens


class _LateScores:
    def __init__(self, rows: int, finish: Callable[[], Tensor]) -> None:
        self._rows, self._finish = rows, finish
        self._scores: Tensor | None = None

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._read())

    def argmax(self, dim: int) -> _LateTokens:
        return _LateTokens(lambda: self._read().argmax(dim=dim))

    def _read(self) -> Tensor:
        if self._scores is None:
            self._scores = self._finish()
        return self._scores


def make_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every staged copy and every pass wait until their result is read."""
    waiting: list[Callable[[], None]] = []
    plain_send, plain_run, plain_step = Staged.send, Passes.run, Steps.run

    def send(self: Staged, rows: int) -> None:
        waiting.append(lambda: plain_send(self, rows))

    def copy_all() -> None:
        for copy in waiting:
            copy()
        waiting.clear()

    def run(self: Passes, batch: int, positions: int) -> _LateTokens:
        def finish() -> Any:
            copy_all()
            return plain_run(self, batch, positions)

        return _LateTokens(finish)

    def step(self: Steps, block: Tensor, running: Sequence[RunningRow]) -> _LateScores:
        run_step = self._step

        def late_step(block: Tensor, places: Tensor, length: int) -> Any:
            def finish() -> Tensor:
                copy_all()
                return run_step(block, places, length)

            return _LateScores(len(places), finish)

        self._step = late_step
        scores: Any = plain_step(self, block, running)
        self._step = run_step
        return scores  # type: ignore[no-any-return]

    monkeypatch.setattr(Staged, "send", send)
    monkeypatch.setattr(Passes, "run", run)
    monkeypatch.setattr(Steps, "run", step)
