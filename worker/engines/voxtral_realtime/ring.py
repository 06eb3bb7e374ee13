"""The memory of attention: one ring of keys and values for each row, of fixed size however long a session runs.

The entry of position p has ring index p mod length. Keys are stored rotated by their absolute position, so an entry is
never modified again. A row that is restarted needs no clearing: the earlier content of its ring has positions that the
new session has not reached, and those are never visible.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from worker.engines.voxtral_realtime.fp8 import FP8, quantised, restored
from worker.engines.voxtral_realtime.sizes import RingShape

Snapshot = tuple[Tensor, ...]
"""The stored form of some entries: numbers, and the scales of 8-bit numbers."""


class LayerEntries(NamedTuple):
    """One layer of a ring, for a kernel: `[rows, heads, length, head_dim]`; scales lack the last axis."""

    keys: Tensor
    values: Tensor
    key_scales: Tensor | None
    value_scales: Tensor | None


class Ring:
    """Keys and values of all layers and rows, `[layers, 2, rows, heads, length, head_dim]`.

    Replaces transformers' `Cache`: the stock attention layers call `update`. `prepare` announces a pass.
    Entries are stored in the type `stored_as`, or in the input's type if it is unset: `FP8` halves their size, with a
    scale for each entry's head.
    """

    def __init__(
        self,
        shape: RingShape,
        rows: int,
        dtype: torch.dtype,
        device: torch.device,
        *,
        stored_as: torch.dtype | None = None,
    ) -> None:
        self.shape = shape
        self.length = shape.length
        self.window = shape.window
        self.dtype = dtype
        self.device = device
        self.stored_as = stored_as or dtype
        numbers = (shape.layers, 2, rows, shape.heads, self.length, shape.head_dim)
        self._store = torch.zeros(numbers, dtype=self.stored_as, device=device)
        self._scales: Tensor | None = None
        if self.is_fp8:
            self._scales = torch.zeros(numbers[:-1], dtype=torch.bfloat16, device=device)
        self.by_kernel = False
        """Whether a kernel attends to the ring. A kernel needs no mask, so `prepare` makes none."""
        self.positions = torch.empty(0)
        """Positions of the announced pass, `[batch, queries]`."""
        self.filled = self.length
        """Maximum number of entries that the announced pass has to read."""
        self._where = torch.empty(0)

    @property
    def is_fp8(self) -> bool:
        return self.stored_as == FP8

    @property
    def is_converted(self) -> bool:
        """Whether entries are stored in another type than the input's."""
        return self.stored_as != self.dtype

    def prepare(self, positions: Tensor, filled: int) -> Tensor:
        """Announce a pass over `positions`, `[batch, queries]`; no row is beyond `filled`.

        Returns the mask, `[batch, 1, queries, filled]`, true where a query sees an entry, or one of a single entry if
        a kernel attends.
        """
        self.positions = positions
        self.filled = filled = min(filled, self.length)
        if self.takes_kernel(positions.shape[1]):
            return torch.ones(positions.shape[0], 1, positions.shape[1], 1, dtype=torch.bool, device=positions.device)
        self._where = positions % self.length
        index = torch.arange(filled, device=positions.device)
        last = positions[:, -1:]
        held = (last - (last - index) % self.length)[:, None, :]  # [batch, 1, filled]: the position in each entry
        asked = positions[:, :, None]
        return ((held >= 0) & (held <= asked) & (held > asked - self.window))[:, None]

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Write `[batch, heads, queries, head_dim]` and return the rings' first entries, `[batch, heads, filled, …]`.

        A row that does not advance writes to the entries of its next positions, which stay invisible until they are
        written again.
        """
        rows = slice(keys.shape[0])
        for part, new in enumerate((keys, values)):
            self._write(layer_idx, part, rows, self._where, new)
        return self._read(layer_idx, 0, rows, self.filled), self._read(layer_idx, 1, rows, self.filled)

    def takes_kernel(self, queries: int) -> bool:
        """Whether a kernel handles a pass over this many positions of each row; kernels support one number of them."""
        return self.by_kernel and queries == self.shape.queries

    def layer(self, index: int) -> LayerEntries:
        """The entries of a layer, for reading and writing."""
        keys, values = self._store[index]
        scales = (None, None) if self._scales is None else self._scales[index].unbind()
        return LayerEntries(keys, values, *scales)

    def read_row(self, row: int, layer_idx: int, count: int) -> tuple[Tensor, Tensor]:
        """The first `count` keys and values of a row, each `[1, heads, count, head_dim]`, until the next write."""
        rows = slice(row, row + 1)
        return self._read(layer_idx, 0, rows, count), self._read(layer_idx, 1, rows, count)

    def write_row(self, row: int, layer_idx: int, positions: Tensor, keys: Tensor, values: Tensor) -> None:
        """Write a row's keys and values of different entries, `[1, heads, positions, head_dim]`."""
        rows, where = slice(row, row + 1), positions[None] % self.length
        for part, new in enumerate((keys, values)):
            self._write(layer_idx, part, rows, where, new)

    def as_kept(self, new: Tensor) -> Tensor:
        """The value that is read back after keys or values are written."""
        return restored(*quantised(new), self.dtype) if self.is_fp8 else new.to(self.stored_as).to(self.dtype)

    def copy_row(self, source: int, target: int) -> None:
        for stored in self._tensors():
            stored[:, :, target].copy_(stored[:, :, source])

    def snapshot(self, row: int, count: int) -> Snapshot:
        """A copy of a row's entries for the positions before `count`, each `[layers, 2, heads, entries, …]`."""
        return tuple(stored[:, :, row, :, : min(count, self.length)].clone() for stored in self._tensors())

    def restore(self, row: int, snapshot: Snapshot) -> None:
        for stored, kept in zip(self._tensors(), snapshot, strict=True):
            stored[:, :, row, :, : kept.shape[3]].copy_(kept)

    def fill_layer(self, index: int, keys: Tensor, values: Tensor) -> None:
        """Write the same entries for all rows of a layer, `[heads, length, head_dim]`: for trials."""
        for part, entries in enumerate((keys, values)):
            if self._scales is None:
                self._store[index, part] = entries
            else:
                codes, scales = quantised(entries)
                self._store[index, part].copy_(codes.expand_as(self._store[index, part]))
                self._scales[index, part] = scales

    def clear(self) -> None:
        for stored in self._tensors():
            stored.zero_()

    def _tensors(self) -> list[Tensor]:
        return [self._store] if self._scales is None else [self._store, self._scales]

    def _read(self, layer_idx: int, part: int, rows: slice, count: int) -> Tensor:
        """The first `count` keys (`part` 0) or values (1) of some rows, `[rows, heads, count, head_dim]`."""
        numbers = self._store[layer_idx, part, rows, :, :count]
        if self._scales is None:
            return numbers.to(self.dtype)
        return restored(numbers, self._scales[layer_idx, part, rows, :, :count], self.dtype)

    def _write(self, layer_idx: int, part: int, rows: slice, at: Tensor, new: Tensor) -> None:
        """`new` `[rows, heads, queries, head_dim]` to the entries `at`, `[rows, queries]`."""
        where = at[:, None, :].expand(new.shape[:-1])
        stored = self._store[layer_idx, part, rows]
        if self._scales is None:
            stored.scatter_(2, where[..., None].expand(new.shape), new.to(stored.dtype))
            return
        codes, scales = quantised(new)
        bits = torch.uint8  # not every operation supports the type itself
        stored.view(bits).scatter_(2, where[..., None].expand(new.shape), codes.view(bits))
        self._scales[layer_idx, part, rows].scatter_(2, where, scales)


class ConvolutionPads:
    """The last inputs of the causal convolutions, by row: each pass puts them on the left of its own input.

    Replaces transformers' padding cache: the stock embedder calls `update`.
    """

    def __init__(self, shapes: dict[str, tuple[int, int]], rows: int, dtype: torch.dtype, device: torch.device) -> None:
        """`shapes`: channels and left padding of each convolution by its cache key."""
        self._stored = {
            key: torch.zeros(rows, channels, width, dtype=dtype, device=device)
            for key, (channels, width) in shapes.items()
        }
        self._advances = torch.empty(0)

    def prepare(self, advances: Tensor) -> None:
        """Announce a pass; `advances`, `[batch]`, says which rows keep the new inputs."""
        self._advances = advances

    def update(self, hidden: Tensor, cache_key: str, _convolution: object) -> Tensor:
        """`hidden`, `[batch, channels, frames]`, with the row's padding on its left."""
        stored = self._stored[cache_key]
        batch, width = hidden.shape[0], stored.shape[2]
        padded = torch.cat([stored[:batch], hidden], dim=-1)
        stored[:batch].copy_(torch.where(self._advances[:, None, None], padded[..., -width:], stored[:batch]))
        return padded

    def update_row(self, row: int, hidden: Tensor, cache_key: str) -> Tensor:
        """The same for one row that advances; `hidden`, `[1, channels, frames]`."""
        stored = self._stored[cache_key][row : row + 1]
        padded = torch.cat([stored, hidden], dim=-1)
        stored.copy_(padded[..., padded.shape[-1] - stored.shape[-1] :])
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
