"""Decode steps: one more token for every running row of a block, in one of a few fixed shapes.

On CUDA the steps over the rows of live speech and of usual questions are recorded once as graphs and then replayed:
launched one by one from Python, their kernels would take longer than they run. Longer rows are created and freed with
their memory, so steps over them run from Python. If a step cannot be recorded, all run from Python: slower, with the
same tokens.
"""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from worker.engines.cuda_graphs import BATCHES, Recorder, Replay, covering, record_or_log, up_to
from worker.engines.staging import Staged

LENGTH_STEP: Final = 64
"""Rows are read up to a multiple of this; kernels need aligned masks."""
RECORDED_LENGTHS: Final = (512, 640, 1024)
"""Recorded steps read rows up to one of these or up to their end. A prompt of one window has 380 tokens."""
EAGER_MS: Final = (10, 20)
"""Calculated for the 3B model: its 1,500 kernels, launched one by one from Python."""

log = structlog.get_logger()

Step = Callable[[Tensor, Tensor, int], Tensor]
"""`step(block, places, length)` → scores, `[batch, vocabulary]`. `places`, `[batch, 3]`, holds the last token of each
row, its position, and the last position that it sees; all positions seen are before `length`."""


@dataclass(frozen=True, slots=True)
class RunningRow:
    row: int
    token: int
    position: int


class Steps:
    """A step's input is sent to the device in one copy; its output stays on the device."""

    def __init__(self, step: Step, slots: int, device: torch.device, recorder: Recorder | None) -> None:
        self._step = step
        self._recorder = recorder
        self._places = Staged(torch.zeros(slots, 3, dtype=torch.long), device)
        self._replays: MutableMapping[Tensor, dict[tuple[int, int], Replay]] = WeakTensorKeyDictionary()
        """By block, batch and length. They are freed with the memory of their block."""
        self._blocks = 0
        """How many blocks have replays, as far as the log knows."""

    @property
    def recorded(self) -> bool:
        return self._recorder is not None

    def warm_up(self, blocks: Sequence[Tensor], progress: Callable[[int, int], None]) -> None:
        """Record a step of each shape over some blocks; `progress` gets the number done and the total.

        Too little memory is raised.
        """
        if self._recorder is None:
            return
        # The largest first: the smaller ones then find room in the memory that it has allocated.
        wanted = [
            (block, batch, length)
            for block in blocks
            for batch in reversed(recorded_batches(block.shape[2]))
            for length in reversed(recorded_lengths(block.shape[4]))
        ]
        for done, (block, batch, length) in enumerate(wanted, start=1):
            if not self._record(self._recorder, block, batch, length):
                return
            progress(done, len(wanted))
        self._blocks = len(self._replays)
        log.info("steps_recorded", count=len(wanted))

    def run(self, block: Tensor, running: Sequence[RunningRow]) -> Tensor:
        """The scores of the next token of each row, `[at least the highest row + 1, vocabulary]`.

        Those of rows that are not running are meaningless. Valid until the next step; read them before it.
        """
        batch = max(one.row for one in running) + 1
        end = max(one.position for one in running) + 1
        row_tokens, replays = block.shape[4], self._replays.get(block)
        if replays is None:
            self._log_freed()
            self._send(running, batch, row_tokens)
            return self._step(block, self._places.device[:batch], read_length(end, row_tokens))
        batch = covering(recorded_batches(block.shape[2]), batch)
        self._send(running, batch, row_tokens)
        return replays[batch, covering(recorded_lengths(row_tokens), end)]()

    def _log_freed(self) -> None:
        if len(self._replays) < self._blocks:
            self._blocks = len(self._replays)
            log.warning(
                "recorded_steps_freed",
                message="A long question needed the memory of recorded steps, so usual "
                f"questions run from Python from now on, which takes {EAGER_MS[0]} to {EAGER_MS[1]} ms for each token.",
            )

    def _send(self, running: Sequence[RunningRow], batch: int, row_tokens: int) -> None:
        """A row that is not running writes to its last position, which is spare, and sees its first."""
        places = [[0, row_tokens - 1, 0]] * batch
        for one in running:
            places[one.row] = [one.token, one.position, one.position]
        self._places.host[:batch] = torch.tensor(places)
        self._places.send(batch)

    def _record(self, recorder: Recorder, block: Tensor, batch: int, length: int) -> bool:
        places = self._places.device[:batch]
        replay = record_or_log(
            recorder,
            lambda: self._step(block, places, length),
            event="steps_not_recorded",
            message=f"A decode step of {batch} sessions could not be recorded as a CUDA graph, so steps run from "
            f"Python, which takes {EAGER_MS[0]} to {EAGER_MS[1]} ms for each token: set model.cuda_graphs to false "
            "to accept this.",
        )
        if replay is None:
            self._recorder = None
            self._replays.clear()
            return False
        self._replays.setdefault(block, {})[batch, length] = replay
        return True


def read_length(end: int, row_tokens: int) -> int:
    """The length to read of rows whose tokens lie before `end`."""
    return min(-(-end // LENGTH_STEP) * LENGTH_STEP, row_tokens)


def recorded_batches(rows: int) -> list[int]:
    return up_to(rows, BATCHES)


def recorded_lengths(row_tokens: int) -> list[int]:
    return up_to(row_tokens, RECORDED_LENGTHS)


def recorded_steps(rows: int, row_tokens: int) -> int:
    """How many steps are recorded for a block."""
    return len(recorded_batches(rows)) * len(recorded_lengths(row_tokens))
