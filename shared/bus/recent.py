"""The most recent writes, in case Redis loses them.

If Redis or its machine is killed, writes that it has confirmed may be lost: its append-only file is synchronised once
a second, and that may be late. Bounded in time, and in audio for each stream.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Final, Generic, Protocol, TypeVar

from shared.events import SAMPLE_RATE_HZ

KEPT_S: Final = 3.0
"""One second between two synchronisations, and 2 s by which one may be late before Redis waits for it."""
KEPT_SAMPLES: Final = 10 * SAMPLE_RATE_HZ
"""A bound for audio that arrives faster than real time: 320 kB of each stream."""
_SWEEP_S: Final = 1.0


class Entry(Protocol):
    """One entry of a stream."""

    @property
    def track(self) -> Hashable: ...
    @property
    def end_samples(self) -> int: ...


E = TypeVar("E", bound=Entry)


class Recent(Generic[E]):
    """The entries of all streams of a process. Times are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, deque[tuple[float, E]]] = {}
        self._swept_s = 0.0

    def add(self, entries: Iterable[E], now_s: float) -> None:
        """Record entries that have just been written, in order."""
        for entry in entries:
            kept = self._kept.setdefault(entry.track, deque())
            kept.append((now_s, entry))
            while kept[0][1].end_samples < entry.end_samples - KEPT_SAMPLES:
                kept.popleft()
        if now_s - self._swept_s >= _SWEEP_S:
            self._swept_s = now_s
            self._sweep(now_s - KEPT_S)

    def entries(self) -> list[E]:
        """All kept entries, in order within each stream."""
        return [entry for kept in self._kept.values() for _, entry in kept]

    def _sweep(self, until_s: float) -> None:
        for track, kept in list(self._kept.items()):
            while kept and kept[0][0] < until_s:
                kept.popleft()
            if not kept:
                del self._kept[track]
