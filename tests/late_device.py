"""A device with late execution: it runs copies and kernels only when the host reads a result.

A GPU may do so. A CPU finishes everything at once, so that an error in the order of copies, passes and
changes of rows between them is visible only here.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from torch import Tensor

from worker.engines.staging import Staged
from worker.engines.voxtral import sampling
from worker.engines.voxtral.steps import RunningRow, Steps
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.passes import Passes

ROW_CHANGES = ("_restore_row", "_copy_row", "_free_row", "_prefill_row", "_write_terms", "_prefer_terms")


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

    def _read(self) -> Tensor:
        if self._scores is None:
            self._scores = self._finish()
        return self._scores


def make_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delay every staged copy, pass, and change of a row, in their order, until the result of a pass is read."""
    waiting: list[Callable[[], None]] = []
    plain_run, plain_step, plain_likeliest = Passes.run, Steps.run, sampling.likeliest

    def postponed(plain: Callable[..., None]) -> Callable[..., None]:
        return lambda *arguments: waiting.append(lambda: plain(*arguments))

    def copy_all() -> None:
        while waiting:
            waiting.pop(0)()

    def run(self: Passes, batch: int, positions: int) -> _LateTokens:
        tokens: list[Any] = []
        waiting.append(lambda: tokens.append(plain_run(self, batch, positions)))

        def finish() -> Any:
            copy_all()
            return tokens[0]

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

    def likeliest(scores: Any, boosts: Any = None) -> Any:
        if not isinstance(scores, _LateScores):
            return plain_likeliest(scores, boosts)
        return _LateTokens(lambda: plain_likeliest(scores._read(), boosts))

    monkeypatch.setattr(sampling, "likeliest", likeliest)
    monkeypatch.setattr(Staged, "send", postponed(Staged.send))
    monkeypatch.setattr(Passes, "run", run)
    monkeypatch.setattr(Steps, "run", step)
    for name in ROW_CHANGES:
        monkeypatch.setattr(BatchedModel, name, postponed(getattr(BatchedModel, name)))
