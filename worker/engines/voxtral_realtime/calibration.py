"""How many sessions a worker serves in time, measured at the warm-up: large GPUs have memory for more. Pure.

A tick is a pass over all sessions and what the host does for them. It must end well before the next frame is there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

FRAME_MS: Final = 80.0
"""A tick that takes longer falls behind the speakers."""
LIMIT_MS: Final = 60.0
"""A tick of all slots, with full windows, takes at most so long."""
AIM: Final = 0.98
"""Of the limit: a guess that is a little too high would be of no use."""
TRIES: Final = 6
PRECISION: Final = 0.02
"""Of the slots: a more precise answer is not worth its time."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How many slots fit."""

    slots: int
    """In use."""
    in_time: int
    tick_ms: float
    """Of the slots in use."""
    reason: str
    """For people: "83 fit into memory, 66 into time"."""


def typical_ms(passes_ms: Sequence[float], *, on_gpu: bool) -> float:
    """What a pass counts for: its 99th percentile, which is the longest of a few.

    On a CPU it is the shortest: the others have waited for other programs.
    """
    return max(passes_ms) if on_gpu else min(passes_ms)


def fitted(slots: int, tick_ms: Callable[[int], float], *, is_set: bool) -> Fit:
    """The slots to use of those that memory allows, by the time of a tick over so many sessions.

    `is_set`: somebody has set the number, which is kept.
    """
    known: dict[int, float] = {}

    def measured(sessions: int) -> float:
        if sessions not in known:
            known[sessions] = tick_ms(sessions)
        return known[sessions]

    in_time = slots_in_time(slots, measured)
    if is_set:
        reason = f"{slots} set in model.slots, {in_time} fit into time"
        return Fit(slots, in_time, known[slots], reason if in_time < slots else "")
    reason = f"{slots} fit into memory, {in_time} into time" if in_time < slots else f"{slots} fit into memory and time"
    return Fit(in_time, in_time, known[in_time], reason)


def slots_in_time(wanted: int, tick_ms: Callable[[int], float], limit_ms: float = LIMIT_MS) -> int:
    """The most sessions, up to `wanted`, that a tick serves within the limit, as far as a few measurements show; at
    least 1, even if that takes longer.

    A tick's time is nearly a line over the sessions. The next count to be measured is where the line through the
    nearest two crosses the limit.
    """
    slow, slow_ms = wanted, tick_ms(wanted)
    if slow_ms <= limit_ms or wanted == 1:
        return wanted
    quick, quick_ms = 1, tick_ms(1)
    if quick_ms > limit_ms:
        return 1
    for _ in range(TRIES):
        if slow - quick <= max(1, PRECISION * wanted):
            break
        share = max(0.0, AIM * limit_ms - quick_ms) / (slow_ms - quick_ms)
        guess = min(max(quick + int(share * (slow - quick)), quick + 1), slow - 1)
        guess_ms = tick_ms(guess)
        if guess_ms <= limit_ms:
            quick, quick_ms = guess, guess_ms
        else:
            slow, slow_ms = guess, guess_ms
    return quick
