"""Holds the outputs of an engine until their final has its speakers, so that clients get them in order. Pure.

A final waits for its label for a short time; then it is sent without one. The outputs after it, and the engine's
checkpoint, wait with it: if the worker is lost meanwhile, the next one decodes the final again.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from worker.engines import base
from worker.speakers.labelling import Labelling

HOLD_S: Final = 1.0
"""Of live sessions. Labels usually take a few hundredths of a second."""
HOLD_RECORDING_S: Final = 20.0
"""Nobody waits for a single final of a recording."""
HOLD_END_S: Final = 5.0
"""The end of a session waits so long for the labels of its last finals, because no event follows it."""


@dataclass(slots=True)
class _Held:
    output: base.Output | None
    """None for a checkpoint."""
    started_ms: float
    step_ms: float = 0.0
    checkpoint_samples: int = 0
    until_s: float = 0.0
    """When it is released without a label, by the monotonic clock."""
    labelling: Labelling | None = None
    state: bytes = b""
    is_waiting: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """An output in its turn, or a checkpoint."""

    output: base.Output | None
    started_ms: float
    """When the step of the output began."""
    checkpoint_samples: int
    labelling: Labelling | None
    state: bytes
    step_ms: float = 0.0
    """How long it took."""


@dataclass(slots=True)
class HeldOutputs:
    """Of one session. `ask` requests the label of a final."""

    ask: Callable[[base.Final], None]
    hold_s: float
    _late: set[int] = field(default_factory=set)
    """Segments whose final was sent without its label, which is still to come."""
    _held: deque[_Held] = field(default_factory=deque)

    def checkpoint(self, checkpoint_samples: int) -> bool:
        """Whether the checkpoint must wait for the outputs before it. It then follows them."""
        if self._held:
            self._held.append(_Held(None, 0.0, checkpoint_samples=checkpoint_samples))
        return bool(self._held)

    def take(self, output: base.Output, started_ms: float, now_s: float, step_ms: float = 0.0) -> list[Released]:
        """Add an output; returns those whose turn it is."""
        held = _Held(output, started_ms, step_ms)
        if isinstance(output, base.Final):
            held.is_waiting, held.until_s = True, now_s + self.hold_s
            self.ask(output)
        elif isinstance(output, base.Finished):
            held.is_waiting, held.until_s = True, now_s + HOLD_END_S
        self._held.append(held)
        return self.released()

    def labelled(self, segment: int, labelling: Labelling, state: bytes) -> list[Released] | None:
        """A final has its label. Returns the outputs whose turn it is; None if the final was sent without it.

        Then call `released` after the label was reported: the end of the session may have waited for it.
        """
        for held in self._held:
            if isinstance(held.output, base.Final) and held.output.segment == segment and held.is_waiting:
                held.labelling, held.state, held.is_waiting = labelling, state, False
                return self.released()
        self._late.discard(segment)
        return None

    def overdue(self, now_s: float) -> list[Released]:
        """Release finals whose label is late, and the outputs after them."""
        for held in self._held:
            if held.is_waiting and held.until_s <= now_s:
                self._give_up(held)
        return self.released()

    def release(self) -> list[Released]:
        """Release everything, without labels."""
        for held in self._held:
            self._give_up(held)
        return self.released()

    def _give_up(self, held: _Held) -> None:
        if held.is_waiting and isinstance(held.output, base.Final):
            self._late.add(held.output.segment)
        held.is_waiting = False

    def next_due_s(self) -> float | None:
        """When the first final is overdue; None if none waits."""
        return self._held[0].until_s if self._held and self._held[0].is_waiting else None

    def released(self) -> list[Released]:
        """Those whose turn it is: nothing before them waits for its label."""
        found = []
        while self._held:
            one = self._held[0]
            ends = isinstance(one.output, base.Finished) and not self._late
            if one.is_waiting and not ends:
                break
            self._held.popleft()
            found.append(
                Released(one.output, one.started_ms, one.checkpoint_samples, one.labelling, one.state, one.step_ms)
            )
        return found
