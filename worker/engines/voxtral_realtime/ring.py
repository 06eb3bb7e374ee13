"""The memory of attention: one ring of keys and values for each row, of fixed size however long a session runs.

The entry of position p lies at ring index p mod length. Keys are stored rotated by their absolute position, so an entry
never has to be touched again. A row that is started anew needs no clearing: what its ring held before lies at positions
that the new session has not reached, and those are never visible.
"""

import torch
from torch import Tensor

from worker.engines.voxtral_realtime.sizes import RingShape


class Ring:
    """Keys and values of all layers and rows, `[layers, 2, rows, heads, length, head_dim]`.

    Stands in for transformers' `Cache`: the stock attention layers call `update`. A pass is announced by `prepare`.
    """

    def __init__(self, shape: RingShape, rows: int, dtype: torch.dtype, device: torch.device) -> None:
        self.length = shape.length
        self._window = shape.window
        self._store = torch.zeros(
            shape.layers, 2, rows, shape.heads, self.length, shape.head_dim, dtype=dtype, device=device
        )
        self._where = torch.empty(0)
        self._filled = self.length

    def prepare(self, positions: Tensor, filled: int) -> Tensor:
        """Announce a pass over `positions`, `[batch, queries]`; no row has come further than `filled`.

        Returns the mask, `[batch, 1, queries, filled]`, true where a query sees an entry.
        """
        self._where = positions % self.length
        self._filled = filled = min(filled, self.length)
        index = torch.arange(filled, device=positions.device)
        last = positions[:, -1:]
        held = (last - (last - index) % self.length)[:, None, :]  # [batch, 1, filled]: the position in each entry
        asked = positions[:, :, None]
        return ((held >= 0) & (held <= asked) & (held > asked - self._window))[:, None]

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Write `[batch, heads, queries, head_dim]` and return the rings' first entries, `[batch, heads, filled, …]`.

        What a row writes that does not advance lies where its next position will be written, and is not visible
        until then.
        """
        batch = keys.shape[0]
        where = self._where[:, None, :, None].expand(keys.shape)
        stored = self._store[layer_idx, :, :batch]
        stored[0].scatter_(2, where, keys)
        stored[1].scatter_(2, where, values)
        return stored[0, :, :, : self._filled], stored[1, :, :, : self._filled]

    def copy_row(self, source: int, target: int) -> None:
        self._store[:, :, target].copy_(self._store[:, :, source])

    def snapshot(self, row: int, count: int) -> Tensor:
        """A copy of a row's entries for the positions before `count`, `[layers, 2, heads, entries, head_dim]`."""
        return self._store[:, :, row, :, : min(count, self.length)].clone()

    def restore(self, row: int, snapshot: Tensor) -> None:
        self._store[:, :, row, :, : snapshot.shape[3]].copy_(snapshot)


class ConvolutionPads:
    """The last inputs of the causal convolutions, by row: what each pass puts on the left of its own.

    Stands in for transformers' padding cache: the stock embedder calls `update`.
    """

    def __init__(self, shapes: dict[str, tuple[int, int]], rows: int, dtype: torch.dtype, device: torch.device) -> None:
        """`shapes`: channels and left padding of each convolution by its cache key."""
        self._stored = {
            key: torch.zeros(rows, channels, width, dtype=dtype, device=device)
            for key, (channels, width) in shapes.items()
        }
        self._advances = torch.empty(0)

    def prepare(self, advances: Tensor) -> None:
        """Announce a pass; `advances`, `[batch]`, says which rows keep what it brings."""
        self._advances = advances

    def update(self, hidden: Tensor, cache_key: str, _convolution: object) -> Tensor:
        """`hidden`, `[batch, channels, frames]`, with the row's padding on its left."""
        stored = self._stored[cache_key]
        batch, width = hidden.shape[0], stored.shape[2]
        padded = torch.cat([stored[:batch], hidden], dim=-1)
        stored[:batch].copy_(torch.where(self._advances[:, None, None], padded[..., -width:], stored[:batch]))
        return padded

    def copy_row(self, source: int, target: int) -> None:
        for stored in self._stored.values():
            stored[target].copy_(stored[source])

    def snapshot(self, row: int) -> dict[str, Tensor]:
        return {key: stored[row].clone() for key, stored in self._stored.items()}

    def restore(self, row: int, snapshot: dict[str, Tensor]) -> None:
        for key, kept in snapshot.items():
            self._stored[key][row].copy_(kept)

    def clear(self) -> None:
        for stored in self._stored.values():
            stored.zero_()
