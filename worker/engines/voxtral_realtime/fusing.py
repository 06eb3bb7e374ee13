"""Fewer and larger operations for the same numbers, in transformers' stock layers. A GPU launches each for itself.

Projections of the same input become one product, and what layers make of the delay is computed when a session begins
and not at each position.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import VoxtralRealtimeForConditionalGeneration

from worker.engines.voxtral_realtime.weights import EightBitLinear, Product, product


def fuse_projections(model: VoxtralRealtimeForConditionalGeneration) -> None:
    """Queries, keys and values of each layer at once, and gate and up of each feed-forward part."""
    for part in (model.model.audio_tower, model.model.language_model):
        for layer in part.layers:
            _fuse(layer.self_attn, ("q_proj", "k_proj", "v_proj"))
            _fuse(layer.mlp, ("gate_proj", "up_proj"))


class DelayConditions:
    """What each layer of the language model makes of each row's delay, `[layers, rows, 1, width]`."""

    def __init__(self, model: VoxtralRealtimeForConditionalGeneration, rows: int) -> None:
        layers = model.model.language_model.layers
        config: Any = model.config
        width = config.text_config.hidden_size
        self._store = torch.zeros(len(layers), rows, 1, width, dtype=model.dtype, device=model.device)
        self._embed = model.model.time_embedding
        self._conditions = [layer.ada_rms_norm for layer in layers]
        for layer, store in zip(layers, self._store, strict=True):
            layer.ada_rms_norm = _Known(store)

    def of(self, delay_tokens: int) -> Tensor:
        """What the layers make of a delay, `[layers, 1, width]`."""
        count = torch.full((1,), delay_tokens, dtype=self._store.dtype, device=self._store.device)
        embedded = self._embed(count).reshape(1, -1)
        return torch.stack([condition(embedded) for condition in self._conditions])

    def write(self, row: int, condition: Tensor) -> None:
        self._store[:, row] = condition

    def copy_row(self, source: int, target: int) -> None:
        self._store[:, target] = self._store[:, source]

    def rows(self, batch: int) -> Tensor:
        """What the stock model passes on to its layers: it only says how many rows there are."""
        return self._store[0, :batch]


class _Known(nn.Module):
    """In place of a layer's conditioning."""

    def __init__(self, store: Tensor) -> None:
        super().__init__()
        self._store = store  # [rows, 1, width]

    def forward(self, rows: Tensor) -> Tensor:
        return self._store[: rows.shape[0]]


class _Fused(nn.Module):
    """In place of the first of several projections: computes all and keeps the others until they are asked for."""

    def __init__(self, projections: Sequence[nn.Linear | EightBitLinear]) -> None:
        super().__init__()
        self._sizes = [projection.out_features for projection in projections]
        self.weight = nn.Parameter(_joined([one.weight.detach() for one in projections]), requires_grad=False)
        scales = [one.scales.detach() for one in projections if isinstance(one, EightBitLinear)]
        self.scales = nn.Parameter(torch.cat(scales), requires_grad=False) if scales else None
        self.product: Product = product
        self.bias = None
        if any(one.bias is not None for one in projections):
            kind = next(one.bias for one in projections if one.bias is not None)
            zeros = (kind.new_zeros(size) for size in self._sizes)
            biases = [one.bias if one.bias is not None else zero for one, zero in zip(projections, zeros, strict=True)]
            self.bias = nn.Parameter(torch.cat([bias.detach() for bias in biases]), requires_grad=False)
        self._kept: list[Tensor | None] = []

    def forward(self, hidden: Tensor) -> Tensor:
        if self.scales is None:
            result = nn.functional.linear(hidden, self.weight, self.bias)
        else:
            result = self.product(hidden, self.weight, self.scales)
            result = result if self.bias is None else result + self.bias
        first, *self._kept = result.split(self._sizes, dim=-1)
        return first

    def take(self, index: int) -> Tensor:
        """Nothing is kept beyond this: memory of a recorded pass must be free for the next layer."""
        taken, self._kept[index] = self._kept[index], None
        assert taken is not None, "the first projection comes before the others, and each is asked for once"
        return taken


class _Part(nn.Module):
    """In place of each other projection."""

    def __init__(self, fused: _Fused, index: int) -> None:
        super().__init__()
        self._take = fused.take  # a module in an attribute would be listed twice
        self._index = index

    def forward(self, _hidden: Tensor) -> Tensor:
        return self._take(self._index)


def _joined(weights: Sequence[Tensor]) -> Tensor:
    """One after the other. Not every operation knows the types of 8 bits."""
    kind = weights[0].dtype
    return (
        torch.cat([one.view(torch.uint8) for one in weights]).view(kind)
        if kind.itemsize == 1
        else torch.cat(list(weights))
    )


def _fuse(owner: nn.Module, names: Sequence[str]) -> None:
    fused = _Fused([getattr(owner, name) for name in names])
    setattr(owner, names[0], fused)
    for index, name in enumerate(names[1:]):
        setattr(owner, name, _Part(fused, index))
