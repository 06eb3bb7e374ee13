"""Tries of key terms on a device, for many rows at once: which token a row prefers, and how its state advances.

All operations are batched and read nothing on the host. Only rows with terms are in a `Table`, or the table has no arc
for them that exists in any state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from worker.engines.keyterms.trie import ANYWHERE, AT_START, FIRST_NODE, INSIDE, NOWHERE, After, Trie

MIN_ARCS = 64


@dataclass(frozen=True, slots=True)
class Table:
    """The arcs of rows, `[rows, arcs]` each."""

    sources: Tensor
    tokens: Tensor
    targets: Tensor
    gains: Tensor

    @classmethod
    def empty(cls, rows: int, arcs: int, device: torch.device) -> "Table":
        def filled(value: float, dtype: torch.dtype) -> Tensor:
            return torch.full((rows, arcs), value, dtype=dtype, device=device)

        return cls(filled(NOWHERE, torch.long), filled(0, torch.long), filled(0, torch.long), filled(0, torch.float32))

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.sources, self.tokens, self.targets, self.gains

    def rows(self, count: int) -> "Table":
        return Table(*(part[:count] for part in self.parts))

    def write(self, row: int, trie: Trie) -> None:
        """Copies from the host; the copy is complete when this returns."""
        count = len(trie.tokens)
        self.clear(row)
        for part, values in zip(self.parts, (trie.sources, trie.tokens, trie.targets, trie.gains), strict=True):
            part[row, :count] = torch.from_numpy(values).to(part.device)

    def clear(self, row: int) -> None:
        self.sources[row] = NOWHERE

    def _exist(self, states: Tensor) -> Tensor:
        return (self.sources == states[:, None]) | (self.sources == ANYWHERE)

    def preferred(self, scores: Tensor, likeliest: Tensor, states: Tensor) -> Tensor:
        """The tokens, `[rows]`, that are likeliest with the gains of the terms.

        `scores`, `[rows, vocabulary]`; `likeliest`, `[rows]`: their highest ones. Ties are decided for these.
        """
        offered = scores.gather(1, self.tokens).float() + self.gains
        offered = offered.masked_fill(~self._exist(states), float("-inf"))
        best, arc = offered.max(dim=1)
        own = scores.gather(1, likeliest[:, None])[:, 0].float()
        return torch.where(best > own, self.tokens.gather(1, arc[:, None])[:, 0], likeliest)

    def following(self, states: Tensor, tokens: Tensor, after: Tensor) -> Tensor:
        """The states, `[rows]`, after tokens; `after` is that of the tries. See `Trie.step`."""
        taken = self._exist(states) & (self.tokens == tokens[:, None])
        target = torch.where(taken, self.targets, -1).amax(dim=1)
        kind = after[tokens]
        stays = (kind == After.SAME) | ((kind == After.MARKER) & (states >= FIRST_NODE))
        closed = torch.where(kind == After.INSIDE, INSIDE, AT_START)
        return torch.where(target >= 0, target, torch.where(stays, states, closed))


class BoostedRows:
    """The tries and the states of a batch whose rows stay on the device. It takes no memory until a row has terms."""

    def __init__(self, rows: int, device: torch.device) -> None:
        self._rows, self._device = rows, device
        self._table: Table | None = None
        self._after = self._states = torch.empty(0)

    def write(self, row: int, trie: Trie | None) -> None:
        """Replace a row's terms; its text continues."""
        if trie is None:
            self.clear(row)
            return
        self._room(len(trie.tokens), trie).write(row, trie)
        self._states[row] = INSIDE

    def clear(self, row: int) -> None:
        if self._table is not None:
            self._table.clear(row)

    def restart(self, row: int) -> None:
        """The row's text begins again."""
        if self._table is not None:
            self._states[row] = AT_START

    def copy_row(self, source: int, target: int) -> None:
        if self._table is not None:
            for part in (*self._table.parts, self._states):
                part[target] = part[source]

    def prefer(self, scores: Tensor, tokens: Tensor, advances: Tensor) -> None:
        """Replace `tokens`, `[batch]`, by those that the rows prefer, and advance the states of rows that advance."""
        assert self._table is not None, "no row has terms"
        batch = len(tokens)
        table, states = self._table.rows(batch), self._states[:batch]
        tokens.copy_(table.preferred(scores, tokens, states))
        states.copy_(torch.where(advances, table.following(states, tokens, self._after), states))

    def _room(self, arcs: int, trie: Trie) -> Table:
        """The table, with room for so many arcs in each row."""
        wanted = max(MIN_ARCS, 1 << (arcs - 1).bit_length())
        table = self._table
        if table is None:
            self._after = torch.from_numpy(trie.after).to(self._device)
            self._states = torch.full((self._rows,), AT_START, dtype=torch.long, device=self._device)
        if table is None or table.tokens.shape[1] < wanted:
            self._table = Table.empty(self._rows, wanted, self._device)
            if table is not None:
                for part, before in zip(self._table.parts, table.parts, strict=True):
                    part[:, : before.shape[1]] = before
        assert self._table is not None
        return self._table


class Boosts:
    """The tries of some rows of one pass, whose states the host knows."""

    def __init__(self, boosted: Sequence[tuple[int, Trie, int]], device: torch.device) -> None:
        """`boosted`: row, trie and state. Call it before the pass is launched: it copies from the host."""
        rows, tries, states = zip(*boosted, strict=True)
        table = Table.empty(len(tries), max(len(trie.tokens) for trie in tries), device)
        for index, trie in enumerate(tries):
            for part, values in zip(table.parts, _on_device(trie, device).parts, strict=True):
                part[index, : values.shape[1]] = values[0]
        self._table = table
        self._rows = torch.tensor(rows, device=device)
        self._states = torch.tensor(states, device=device)

    def preferred(self, scores: Tensor, likeliest: Tensor) -> Tensor:
        """The tokens of all rows of the scores; only the given rows have terms."""
        tokens = self._table.preferred(scores[self._rows], likeliest[self._rows], self._states)
        return likeliest.index_copy(0, self._rows, tokens)


@lru_cache(maxsize=64)
def _on_device(trie: Trie, device: torch.device) -> Table:
    """The arcs of one trie, copied once."""
    table = Table.empty(1, len(trie.tokens), device)
    table.write(0, trie)
    return table
