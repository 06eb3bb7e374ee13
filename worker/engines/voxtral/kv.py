"""The key-value memory of all running requests: one tensor for each block of rows.

A row's token at position p has index p in its row, so requests come and go without moving anything. Entries after the
end of a row are left over from other requests and hidden by the mask.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from transformers import PreTrainedConfig

from worker.engines.voxtral.rows import Block


@dataclass(frozen=True, slots=True)
class KvShape:
    """The shape of one token of one request."""

    layers: int
    heads: int
    width: int
    dtype: torch.dtype

    @classmethod
    def of(cls, config: PreTrainedConfig, dtype: torch.dtype) -> "KvShape":
        """From the language model's configuration."""
        return cls(config.num_hidden_layers, config.num_key_value_heads, config.head_dim, dtype)

    @property
    def token_bytes(self) -> int:
        return 2 * self.layers * self.heads * self.width * self.dtype.itemsize


class KvMemory:
    """Tensors `[2, layers, rows, heads, row_tokens, width]`, allocated when a block is first used."""

    def __init__(self, shape: KvShape, device: str, blocks: Mapping[int, Block]) -> None:
        self._shape = shape
        self._device = device
        self._blocks = blocks
        self._tensors: dict[int, torch.Tensor] = {}

    def block(self, number: int) -> torch.Tensor:
        """The tensor of a block of the plan. Tensors of blocks that have left the plan are freed here."""
        if number not in self._tensors:
            for gone in self._tensors.keys() - self._blocks.keys():
                del self._tensors[gone]
            block, shape = self._blocks[number], self._shape
            sizes = (2, shape.layers, block.rows, shape.heads, block.row_tokens, shape.width)
            # Zeros, because hidden entries are multiplied by 0, and arbitrary bits may be NaN.
            self._tensors[number] = torch.zeros(sizes, dtype=shape.dtype, device=self._device)
        return self._tensors[number]


class KvView:
    """The rows of one block that share a pass through the model. Replaces transformers' `Cache` in that pass."""

    def __init__(self, block: torch.Tensor, rows: torch.Tensor | int, positions: torch.Tensor, length: int) -> None:
        """`rows`: indices `[n]`, or n for the first n. `positions`: `[n, queries]`. Keys are seen up to `length`."""
        self._keys, self._values = block[0], block[1]
        self._rows = rows
        count = torch.arange(rows, device=block.device) if isinstance(rows, int) else rows
        self._targets = count[:, None]
        self._positions = positions
        self._length = length

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Store `[n, heads, queries, width]` of one layer; returns all of these rows, `[n, heads, length, width]`."""
        return self._stored(self._keys[layer], keys), self._stored(self._values[layer], values)

    def _stored(self, memory: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        memory[self._targets, :, self._positions] = new.transpose(1, 2)
        seen = memory[:, :, : self._length]
        return seen[: self._rows] if isinstance(self._rows, int) else seen.index_select(0, self._rows)
