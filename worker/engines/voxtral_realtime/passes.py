"""Runs a pass in one of a few fixed shapes. On CUDA each shape is recorded once as a graph and then replayed.

A graph launches its thousand kernels at once: launched one by one from Python they would take longer than they run.
If a pass cannot be recorded, all passes run from Python: slower, with the same tokens.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import structlog
import torch
from torch import Tensor

from worker.engines.compiling import shortest_s
from worker.engines.loading.out_of_memory import is_out_of_memory

BATCHES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 384, 512)
POSITIONS: Final = (192, 512, 1024, 2048, 4096, 8192)
"""Attention reads this much of each ring: enough for the longest session of the batch."""
EAGER_MS: Final = (10, 16)
"""Calculated for the published model: its 1,100 kernels, launched one by one from Python."""

log = structlog.get_logger()

Pass = Callable[[int, int], Tensor]
Replay = Callable[[], Tensor]


class Recorder(Protocol):
    """Records a pass. `record` raises `RuntimeError` if the pass cannot be recorded."""

    def record(self, run: Replay) -> Replay: ...


class CudaRecorder:
    """CUDA graphs that share their memory, all recorded on one stream: libraries keep a workspace for each stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = None
        self._pool: Any = None

    def record(self, run: Replay) -> Replay:
        with torch.cuda.device(self._device):
            if self._stream is None:
                self._stream, self._pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):  # libraries allocate their plans and buffers in a first run
                run()
            torch.cuda.current_stream().wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                tokens = run()

        def replay() -> Tensor:
            graph.replay()
            return tokens

        return replay


def record_or_log(recorder: Recorder, run: Replay, *, event: str, message: str) -> Replay | None:
    """The replay of a pass. If it cannot be recorded: None, and `event` with the reason and `message` in the log.

    Too little memory is raised.
    """
    try:
        return recorder.record(run)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        if is_out_of_memory(error):
            raise
        log.error(event, reason=str(error).partition("\n")[0], message=message)
        return None


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
        count = len(self._batches) * len(self._positions)
        # The largest first: the smaller ones then find room in the memory that it has allocated.
        for batch in reversed(self._batches):
            for positions in reversed(self._positions):
                if self._recorder is None:  # set to None by a pass that could not be recorded
                    return
                if (batch, positions) in self._replays or self._record(self._recorder, batch, positions):
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


def up_to(largest: int, sizes: Sequence[int]) -> list[int]:
    """The sizes below `largest`, and `largest` itself; `sizes` ascend."""
    return [*(size for size in sizes if size < largest), largest]


def covering(sizes: Sequence[int], wanted: int) -> int:
    """The smallest of some ascending sizes that covers `wanted`; the largest covers everything."""
    return sizes[min(bisect_left(sizes, wanted), len(sizes) - 1)]
