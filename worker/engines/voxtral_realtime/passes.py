"""Runs a pass in one of a few fixed shapes. On CUDA each shape is recorded once as a graph and then replayed.

A graph launches its thousand kernels at once: launched one by one from Python they would take longer than they run.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
import torch
from torch import Tensor

from shared.errors import StartupError

BATCHES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 384, 512)
POSITIONS: Final = (192, 512, 1024, 2048, 4096, 8192)
"""Attention reads this much of each ring: enough for the longest session of the batch."""

log = structlog.get_logger()

Pass = Callable[[int, int], Tensor]


class Passes:
    def __init__(self, run: Pass, rows: int, positions: int, device: torch.device, *, recorded: bool) -> None:
        """`run(batch, positions)` leaves the tokens on the device and must not allocate what outlives it."""
        self._run = run
        self._device = device
        self._recorded = recorded
        self._batches = [*(batch for batch in BATCHES if batch < rows), rows]
        self._positions = [*(count for count in POSITIONS if count < positions), positions]
        self._graphs: dict[tuple[int, int], tuple[Any, Tensor]] = {}

    def shape(self, batch: int) -> int:
        """The rows that a pass over `batch` rows takes in."""
        return covering(self._batches, batch) if self._recorded else batch

    def warm_up(self) -> None:
        """Raises `StartupError` when a pass cannot be recorded."""
        if not self._recorded:
            return
        with torch.cuda.device(self._device):
            pool = torch.cuda.graph_pool_handle()
            # The largest first: the smaller ones then find room in the memory that it has taken.
            for batch in reversed(self._batches):
                for positions in reversed(self._positions):
                    self._graphs[batch, positions] = self._record(batch, positions, pool)
        log.info("passes_recorded", count=len(self._graphs))

    def run(self, batch: int, positions: int) -> Tensor:
        """Tokens, `[at least batch]`, good until the next pass."""
        if not self._recorded:
            return self._run(batch, positions)
        graph, tokens = self._graphs[self.shape(batch), covering(self._positions, positions)]
        graph.replay()
        return tokens

    def _record(self, batch: int, positions: int, pool: Any) -> tuple[Any, Tensor]:
        try:
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):  # libraries make their plans and buffers in a first run
                self._run(batch, positions)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=pool):
                tokens = self._run(batch, positions)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise StartupError(
                f"A pass of {batch} sessions could not be recorded as a CUDA graph ({reason}); lower model.slots or "
                "set model.cuda_graphs to false."
            ) from error
        return graph, tokens


def covering(sizes: Sequence[int], wanted: int) -> int:
    """The smallest of some rising sizes that covers `wanted`; the largest covers everything."""
    return sizes[min(bisect_left(sizes, wanted), len(sizes) - 1)]
