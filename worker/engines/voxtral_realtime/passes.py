"""Runs a pass in one of a few fixed shapes. On CUDA each shape is recorded once as a graph and then replayed.

If a pass cannot be recorded, all passes run from Python: slower, with the same tokens.
"""

from collections.abc import Callable
from typing import Final

import structlog
from torch import Tensor

from worker.engines.compiling import shortest_s
from worker.engines.cuda_graphs import BATCHES, Recorder, Replay, covering, record_or_log, up_to

POSITIONS: Final = (192, 512, 1024, 2048, 4096, 8192)
"""Attention reads this much of each ring: enough for the longest session of the batch."""
EAGER_MS: Final = (10, 16)
"""Calculated for the published model: its 1,100 kernels, launched one by one from Python."""

log = structlog.get_logger()

Pass = Callable[[int, int], Tensor]


class Passes:
    def __init__(self, run: Pass, rows: int, positions: int, recorder: Recorder | None) -> None:
        """`run(batch, positions)` leaves its result on the device and must not allocate memory that outlives it."""
        self._run = run
        self._recorder = recorder
        self._batches, self._positions = shapes(rows, positions)
        self._replays: dict[tuple[int, int], Replay] = {}

    def limit(self, rows: int) -> None:
        """Limit passes to this many rows from now on. Call it before the warm-up."""
        self._batches, self._positions = shapes(rows, self._positions[-1])
        self._replays = {shape: replay for shape, replay in self._replays.items() if shape[0] in self._batches}

    def record_largest(self) -> None:
        """Record the pass over all rows and full rings, if it is not recorded, so that it can be timed."""
        largest = self._batches[-1], self._positions[-1]
        if self._recorder is not None and largest not in self._replays:
            self._record(self._recorder, *largest)

    @property
    def recorded(self) -> bool:
        return self._recorder is not None

    def shape(self, batch: int) -> int:
        """The rows that a pass over `batch` rows processes."""
        return covering(self._batches, batch) if self.recorded else batch

    def warm_up(self, progress: Callable[[int, int], None]) -> None:
        """Record a pass of each shape; `progress` gets the number done and the total. Too little memory is raised."""
        if self._recorder is None:
            return
        count = len(self._batches) * len(self._positions)
        # The largest first: the smaller ones then find room in the memory that it has allocated.
        for batch in reversed(self._batches):
            for positions in reversed(self._positions):
                if (batch, positions) not in self._replays and not self._record(self._recorder, batch, positions):
                    return
                progress(len(self._replays), count)
        log.info("passes_recorded", count=len(self._replays))

    def time_s(self, batch: int, positions: int) -> float:
        """The current duration of a pass of this shape, the fastest of several; recorded, if passes are recorded."""

        def run() -> Tensor:
            return self._run(batch, covering(self._positions, positions))

        return shortest_s(run, None if self._recorder is None else self._recorder.record)

    def run(self, batch: int, positions: int) -> Tensor:
        """What the pass returns, valid until the next one; its last dimension has at least `batch` rows."""
        if not self.recorded:
            return self._run(batch, positions)
        return self._replays[self.shape(batch), covering(self._positions, positions)]()

    def _record(self, recorder: Recorder, batch: int, positions: int) -> bool:
        replay = record_or_log(
            recorder,
            lambda: self._run(batch, positions),
            event="passes_not_recorded",
            message=f"A pass of {batch} sessions could not be recorded as a CUDA graph, so passes run from Python, "
            f"which takes {EAGER_MS[0]} to {EAGER_MS[1]} ms for each: lower model.slots until sessions keep up, or "
            "set model.cuda_graphs to false to accept this.",
        )
        if replay is None:
            self._recorder = None
            self._replays.clear()
            return False
        self._replays[batch, positions] = replay
        return True


def shapes(rows: int, positions: int) -> tuple[list[int], list[int]]:
    """The batches and the parts of the ring for which passes are recorded."""
    return up_to(rows, BATCHES), up_to(positions, POSITIONS)


def recorded_passes(rows: int, positions: int) -> int:
    """How many passes are recorded."""
    batches, lengths = shapes(rows, positions)
    return len(batches) * len(lengths)
