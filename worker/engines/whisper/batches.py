"""Chooses which windows to decode together. Pure.

The encoder's work grows with the window, so padding a short window to a longer one is slow; the decoder's work hardly
grows with the batch, so decoding two windows separately is slow, too. Measured on a CPU, two windows are faster
together up to a difference of about `MAX_PADDING_S`. A GPU works on a whole batch at once: splitting one saves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.engines.whisper.sizes import MEMBERS, Size

MAX_PADDING_S = 3.0
MAX_MEMBERS = 8
SPLIT_FROM_MEMBERS = 2
"""A batch of at least this size is halved if a thread would otherwise be idle."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one batch."""

    members: int = MAX_MEMBERS
    padding_s: float = MAX_PADDING_S
    """Silence that a window may be padded with to share a batch with a longer one."""
    size: Size | None = None
    """The model, if its batches share a GPU's memory with it."""

    def most(self, window_s: float) -> int:
        """How many windows of this length a batch may have."""
        if self.size is None:
            return self.members
        return min(self.members, max(1, self.size.batch_bytes // self.size.window_bytes(window_s)))


CPU_LIMITS = Limits()


def gpu_limits(size: Size) -> Limits:
    """Chosen by reasoning, not yet measured: 32 windows keep a GPU busy, and their memory is known (`sizes`)."""
    return Limits(MEMBERS, padding_s=30.0, size=size)


@dataclass(frozen=True, slots=True)
class Shape:
    """The properties that decide whether two windows can share a batch."""

    window_s: float
    prompt_tokens: int
    exact: bool
    """The text must not depend on the rest of the batch, so the window is not padded further."""
    alone: bool = False
    """It shares no batch."""


@dataclass(slots=True)
class Batch:
    window_s: float
    prompt_tokens: int
    members: list[int] = field(default_factory=list)
    alone: bool = False

    def takes(self, shape: Shape, limits: Limits) -> bool:
        padding_s = self.window_s - shape.window_s
        return (
            not (self.alone or shape.alone)
            and len(self.members) < limits.most(self.window_s)
            and shape.prompt_tokens == self.prompt_tokens
            and 0 <= padding_s <= (0.0 if shape.exact else limits.padding_s)
        )


def batched(shapes: Sequence[Shape], threads: int, limits: Limits = CPU_LIMITS) -> list[Batch]:
    """Batches that hold every index of `shapes` once, the most expensive first."""
    batches: list[Batch] = []
    for index in sorted(range(len(shapes)), key=lambda index: (-shapes[index].window_s, index)):
        shape = shapes[index]
        batch = next((batch for batch in batches if batch.takes(shape, limits)), None)
        if batch is None:
            batch = Batch(shape.window_s, shape.prompt_tokens, alone=shape.alone)
            batches.append(batch)
        batch.members.append(index)
    while batches and len(batches) < threads:
        largest = max(batches, key=_cost)
        if len(largest.members) < SPLIT_FROM_MEMBERS:
            break
        batches += _halves(batches.pop(batches.index(largest)), shapes)
    return sorted(batches, key=_cost, reverse=True)


def _cost(batch: Batch) -> float:
    return batch.window_s * len(batch.members)


def _halves(batch: Batch, shapes: Sequence[Shape]) -> list[Batch]:
    """Members are ordered by falling length, so the second half may need only a shorter window."""
    middle = len(batch.members) // 2
    parts = batch.members[:middle], batch.members[middle:]
    return [Batch(max(shapes[index].window_s for index in part), batch.prompt_tokens, part) for part in parts]
