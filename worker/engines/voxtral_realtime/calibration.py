"""How many sessions a worker serves in time, measured during warm-up: large GPUs have memory for more. Pure.

A tick is a pass over all sessions and the host work for them. It must end well before the next frame arrives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

FRAME_MS: Final = 80.0
"""A longer tick falls behind real time."""
LIMIT_MS: Final = 60.0
"""Limit of a tick of all slots, with full windows."""
AIM: Final = 0.98
"""Share of the limit to aim at: a guess that is slightly too high would be useless."""
TRIES: Final = 6
PRECISION: Final = 0.02
"""Share of the slots: a more precise answer is not worth its time."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How many slots fit."""

    slots: int
    """Slots in use."""
    in_time: int
    tick_ms: float
    """Duration of a tick over the slots in use."""
    reason: str
    """For people: "memory allows 83, time allows 66"."""


def typical_ms(passes_ms: Sequence[float], *, on_gpu: bool) -> float:
    """The duration that represents passes: the 99th percentile, which is the longest of a few.

    On a CPU it is the shortest: the others have waited for other programs.
    """
    return max(passes_ms) if on_gpu else min(passes_ms)


def fitted(slots: int, tick_ms: Callable[[int], float], *, is_set: bool) -> Fit:
    """The number of slots to use, up to those that memory allows, by the duration of a tick over all sessions.

    `is_set`: the number is configured, so it is kept.
    """
    known: dict[int, float] = {}

    def measured(sessions: int) -> float:
        if sessions not in known:
            known[sessions] = tick_ms(sessions)
        return known[sessions]

    in_time = slots_in_time(slots, measured)
    if is_set:
        reason = f"{slots} set in model.slots, time allows {in_time}"
        return Fit(slots, in_time, known[slots], reason if in_time < slots else "")
    reason = f"memory allows {slots}, time allows {in_time}" if in_time < slots else f"memory and time allow {slots}"
    return Fit(in_time, in_time, known[in_time], reason)


def slots_in_time(wanted: int, tick_ms: Callable[[int], float]) -> int:
    """The most sessions, up to `wanted`, that a tick serves within `LIMIT_MS`, as far as a few measurements show; at
    least 1, even if that takes longer.

    A tick's duration is nearly linear in the number of sessions. The next number to measure is where the line through
    the nearest two measurements crosses the limit.
    """
    slow, slow_ms = wanted, tick_ms(wanted)
    if slow_ms <= LIMIT_MS or wanted == 1:
        return wanted
    quick, quick_ms = 1, tick_ms(1)
    if quick_ms > LIMIT_MS:
        return 1
    for _ in range(TRIES):
        if slow - quick <= max(1, PRECISION * wanted):
            break
        share = max(0.0, AIM * LIMIT_MS - quick_ms) / (slow_ms - quick_ms)
        guess = min(max(quick + int(share * (slow - quick)), quick + 1), slow - 1)
        guess_ms = tick_ms(guess)
        if guess_ms <= LIMIT_MS:
            quick, quick_ms = guess, guess_ms
        else:
            slow, slow_ms = guess, guess_ms
    return quick
