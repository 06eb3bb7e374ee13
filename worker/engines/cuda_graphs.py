"""Recording work on a GPU as CUDA graphs, in one of a few fixed shapes, for the Voxtral engines.

A graph launches its thousand kernels at once: launched one by one from Python they would take longer than they run.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import structlog
import torch
from torch import Tensor

from worker.engines.loading.out_of_memory import is_out_of_memory

BATCHES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 384, 512)
"""Numbers of rows for which work is recorded."""
GRAPH_BYTES: Final = 16 * 1024**2
"""Estimate for a recorded pass of Voxtral Realtime, with its 1,100 kernels; not measured."""
WORKSPACE_BYTES: Final = 32 * 1024**2
"""cuBLAS workspace on Hopper, for each stream; passes are recorded on one stream and run on another."""
STREAMS: Final = 2

log = structlog.get_logger()

Replay = Callable[[], Tensor]


class Recorder(Protocol):
    """Records work. `record` raises `RuntimeError` if it cannot be recorded."""

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
    """The replay of some work. If it cannot be recorded: None, and `event` with the reason and `message` in the log.

    Too little memory is raised.
    """
    try:
        return recorder.record(run)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        if is_out_of_memory(error):
            raise
        log.error(event, reason=str(error).partition("\n")[0], message=message)
        return None


def up_to(largest: int, sizes: Sequence[int]) -> list[int]:
    """The sizes below `largest`, and `largest` itself; `sizes` ascend."""
    return [*(size for size in sizes if size < largest), largest]


def covering(sizes: Sequence[int], wanted: int) -> int:
    """The smallest of some ascending sizes that covers `wanted`; the largest covers everything."""
    return sizes[min(bisect_left(sizes, wanted), len(sizes) - 1)]
