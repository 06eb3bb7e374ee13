"""Which session has which row of the batch. Pure: no torch.

Used rows are always 0 … n − 1, so that every batch is the beginning of each tensor: nothing is gathered, and a free row
costs nothing. When a session leaves from the middle, the last row moves into its place.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Move:
    """A row's state must be copied to another row before the next pass."""

    source: int
    target: int


class Rows:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._ids: list[str] = []
        self._row_by_id: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        """Session ids in the order of their rows."""
        return iter(self._ids)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._row_by_id

    def __getitem__(self, session_id: str) -> int:
        return self._row_by_id[session_id]

    def take(self, session_id: str) -> int:
        """Assign a row to the session, and return it."""
        assert session_id not in self._row_by_id, "a session has one row"
        assert len(self._ids) < self.capacity, "all rows are taken"
        self._row_by_id[session_id] = len(self._ids)
        self._ids.append(session_id)
        return self._row_by_id[session_id]

    def release(self, session_id: str) -> Move | None:
        """Free a session's row. The move, if there is one, fills the gap."""
        gap = self._row_by_id.pop(session_id)
        last_id = self._ids.pop()
        if last_id == session_id:
            return None
        self._ids[gap] = last_id
        self._row_by_id[last_id] = gap
        return Move(source=len(self._ids), target=gap)
