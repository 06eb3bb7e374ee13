"""Attention over rings by the Triton kernels, which replace `layers.Attention`.

The kernels read only the filled part of each row, need no mask, and rotate and write in the same launch. Launches have
fixed shapes and wait for nothing, so CUDA graphs can record them.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Final

import torch
import triton
from torch import Tensor, nn

from worker.engines.voxtral_realtime.layers import Attention
from worker.engines.voxtral_realtime.ring import LayerEntries, Ring
from worker.engines.voxtral_realtime.ring_kernels import attend, combine

BLOCK: Final = 64
"""Entries that a program reads at a time."""
MIN_PART: Final = 128
"""Minimum number of entries of a part, if the ring is split into parts."""
MAX_PARTS: Final = 32
PROGRAMS_PER_PROCESSOR: Final = 4
"""Target number of programs for each processor of a GPU, so that enough loads are in progress."""
MIN_TILE: Final = 16
"""Minimum size of a matrix product on tensor cores."""
WARPS: Final = 4
INTERPRETED: Final[bool] = triton.knobs.runtime.interpret
"""Triton's interpreter runs kernels on a CPU, for tests. It cannot multiply bfloat16."""


class RingAttention(nn.Module):
    """Replaces a layer's attention and uses its projections. Passes of other shapes run through that attention."""

    def __init__(self, stock: Attention, processors: int) -> None:
        """`processors`: the GPU's processors, over which the work is spread."""
        super().__init__()
        self.stock = stock
        self._processors = processors

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor,
        past_key_values: Any,
    ) -> tuple[Tensor, None]:
        stock, ring = self.stock, past_key_values
        if not ring.takes_kernel(hidden_states.shape[1]):
            heard: tuple[Tensor, None] = stock(
                hidden_states=hidden_states,
                position_embeddings=position_embeddings,
                attention_mask=attention_mask,
                past_key_values=ring,
            )
            return heard
        query, key, value = stock.projected(hidden_states)
        attended = ring_attention(
            ring,
            stock.layer_idx,
            query,
            key,
            value,
            angles=position_embeddings,
            scaling=stock.scaling,
            processors=self._processors,
        )
        return stock.o_proj(attended), None


def ring_attention(
    ring: Ring,
    layer: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    angles: tuple[Tensor, Tensor],
    scaling: float,
    processors: int,
) -> Tensor:
    """Write new keys and values at the announced positions, and attend to all that each query sees.

    `query`, `key` and `value`: `[batch, queries, heads × dim]`, the output of the projections. `angles`: cosines
    and sines, `[batch, queries, dim]`. Returns `[batch, queries, heads × dim]`.
    """
    shape = ring.shape
    batch, queries, width = query.shape
    group = width // (shape.heads * shape.head_dim)
    parts = parts_for(batch * shape.heads, ring.filled, processors)
    sizes = _sizes(group, queries, shape.head_dim)
    heard = torch.empty(batch, queries, width, dtype=query.dtype, device=query.device)
    partial, weight = _room(heard, (batch, shape.heads, parts, group * queries, shape.head_dim))
    keys, values, *scales = _entries(ring, layer)
    with on_device(query.device):
        attend[(batch, shape.heads, parts)](
            query,
            key,
            value,
            *angles,
            ring.positions,
            keys,
            values,
            *(heard if one is None else one for one in scales),
            heard,
            partial,
            weight,
            *query.stride()[:2],
            *key.stride()[:2],
            *value.stride()[:2],
            ring.positions.stride(0),
            scaling,
            window=shape.window,
            length=ring.length,
            block=BLOCK,
            is_fp8=ring.is_fp8,
            native=has_fp8(query.device),
            wide=INTERPRETED,
            alone=parts == 1,
            num_warps=WARPS,
            **sizes,
        )
        if parts > 1:
            combine[(batch, shape.heads)](partial, weight, heard, parts, **sizes)
    return heard


def _sizes(group: int, queries: int, dim: int) -> dict[str, int]:
    """What both kernels are compiled for."""
    return {
        "group": group,
        "queries": queries,
        "dim": dim,
        "dim_tile": max(MIN_TILE, triton.next_power_of_2(dim)),
        "tile": max(MIN_TILE, triton.next_power_of_2(group * queries)),
    }


def _room(heard: Tensor, shape: tuple[int, int, int, int, int]) -> tuple[Tensor, Tensor]:
    """Tensors for what each part has heard, and for its weight; `heard`, which is not written there, for one part.

    `shape`: batch, heads, parts, queries of a head, and their size.
    """
    if shape[2] == 1:
        return heard, heard
    return heard.new_empty(shape, dtype=torch.float32), heard.new_empty(shape[:-1], dtype=torch.float32)


def _entries(ring: Ring, layer: int) -> LayerEntries:
    """The entries of a layer, those of 8 bits as bytes: the kernel does the conversion."""
    entries = ring.layer(layer)
    if not ring.is_fp8:
        return entries
    return entries._replace(keys=entries.keys.view(torch.uint8), values=entries.values.view(torch.uint8))


def parts_for(programs: int, filled: int, processors: int) -> int:
    """Parts into which rings of this many entries are split, so that a GPU has enough programs: a power of two."""
    parts = 1
    while (
        parts < MAX_PARTS and programs * parts < processors * PROGRAMS_PER_PROCESSOR and filled >= 2 * parts * MIN_PART
    ):
        parts *= 2
    return parts


def use_kernels(part: nn.Module, ring: Ring, processors: int) -> None:
    """Make all layers of the encoder or the language model attend by the kernels."""
    for layer in part.layers:  # type: ignore[union-attr]
        layer.self_attn = RingAttention(layer.self_attn, processors)
    ring.by_kernel = True


@cache
def has_fp8(device: torch.device) -> bool:
    """Whether the GPU has instructions for e4m3: Ada, Hopper and later."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)


def on_device(device: torch.device) -> AbstractContextManager[object]:
    """Sets the current GPU, on which Triton launches, whichever GPU its tensors are on."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
