"""One layer of the encoder or of the language model: what transformers' stock layer computes, in fewer operations.

A GPU launches each operation separately. Projections of the same input are one product, queries and keys are rotated
together, and values that depend on the delay are computed when a session begins. `Attention.turn` and `Layer.transform`
have no side effects and do not access the ring, so they can be compiled; see `worker.engines.compiling`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm
from transformers import VoxtralRealtimeForConditionalGeneration
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from worker.engines.voxtral_realtime.weights import EightBitLinear


class Attention(nn.Module):
    """Replaces a stock layer's attention."""

    def __init__(self, stock: Any) -> None:
        super().__init__()
        self.layer_idx: int = stock.layer_idx
        self.scaling: float = stock.scaling
        self._config = stock.config  # its `_attn_implementation` is chosen later
        self._head_dim: int = stock.head_dim
        self._heads: int = stock.config.num_attention_heads
        self._key_heads: int = self._heads // stock.num_key_value_groups
        self.qkv = _joined((stock.q_proj, stock.k_proj, stock.v_proj))
        self.o_proj = stock.o_proj

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor,
        past_key_values: Any,
    ) -> tuple[Tensor, None]:
        """`hidden_states` `[batch, queries, width]`; the other arguments are for the ring."""
        query, key, value = self.turn(self.qkv(hidden_states), *position_embeddings)
        keys, values = past_key_values.update(key, value, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS[self._config._attn_implementation]
        heard, _ = attend(self, query, keys, values, attention_mask, scaling=self.scaling)
        return self.o_proj(heard.flatten(2)), None

    def projected(self, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values before rotation, each `[batch, queries, heads × head_dim]`."""
        key_width = self._key_heads * self._head_dim
        query, key, value = self.qkv(hidden_states).split([self._heads * self._head_dim, key_width, key_width], dim=-1)
        return query, key, value

    def turn(self, projected: Tensor, cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries, rotated keys, and values, each `[batch, heads, queries, head_dim]`.

        `projected` is the output of `qkv`; `cosine` and `sine` `[batch, queries, head_dim]`. A rotation of the halves
        (a, b) is (a, b) × cosine + (−b, a) × sine.
        """
        heads = projected.unflatten(-1, (-1, self._head_dim))
        turning, value = heads.split([self._heads + self._key_heads, self._key_heads], dim=2)
        first, second = turning.chunk(2, dim=-1)
        sine_first, sine_second = sine[:, :, None].chunk(2, dim=-1)
        turned = turning * cosine[:, :, None]
        turned_first, turned_second = turned.chunk(2, dim=-1)
        turned_first.addcmul_(second, sine_first, value=-1)
        turned_second.addcmul_(first, sine_second)
        query, key = turned.transpose(1, 2).split([self._heads, self._key_heads], dim=1)
        return query, key, value.transpose(1, 2)


class Layer(nn.Module):
    """Replaces a stock layer."""

    def __init__(self, stock: Any) -> None:
        super().__init__()
        in_text = hasattr(stock, "input_layernorm")
        self.self_attn = Attention(stock.self_attn)
        self.layer_idx = self.self_attn.layer_idx
        self.norm = Norm(stock.input_layernorm if in_text else stock.self_attn_layer_norm)
        self.second_norm = Norm(stock.post_attention_layernorm if in_text else stock.final_layer_norm)
        self.gate_up = _joined((stock.mlp.gate_proj, stock.mlp.up_proj))
        self.down = stock.mlp.down_proj
        self._act = stock.mlp.act_fn

    def forward(
        self,
        hidden: Tensor,
        *,
        attention_mask: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        past_key_values: Any,
        t_cond: Tensor | None = None,
        **_: object,
    ) -> Tensor:
        """`hidden` `[batch, queries, width]`; `t_cond` as returned by `DelayConditions.rows`."""
        hidden = hidden.contiguous()  # the output of the convolutions is transposed
        attended, _weights = self.self_attn(
            hidden_states=self.norm(hidden),
            position_embeddings=position_embeddings,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
        )
        if t_cond is None:
            return self.transform(hidden, attended)
        return self.transform(hidden, attended, t_cond[self.layer_idx])

    def transform(self, hidden: Tensor, attended: Tensor, delay: Tensor | None = None) -> Tensor:
        """The part after attention, whose output is `attended`. `delay` `[batch, 1, width]`."""
        hidden = hidden + attended
        normed = self.second_norm(hidden)
        if delay is not None:
            normed = normed * delay
        gate, up = self.gate_up(normed).chunk(2, dim=-1)
        return hidden + self.down(self._act(gate) * up)


class Norm(nn.Module):
    """Replaces a stock norm: one kernel on CUDA instead of eight."""

    def __init__(self, stock: Any) -> None:
        super().__init__()
        self.weight, self.variance_epsilon = stock.weight, stock.variance_epsilon

    def forward(self, hidden: Tensor) -> Tensor:
        return rms_norm(hidden, self.weight.shape, self.weight, self.variance_epsilon)


class DelayConditions:
    """The factors of each layer of the language model for each row's delay, `[layers, rows, 1, width]`."""

    def __init__(self, model: VoxtralRealtimeForConditionalGeneration, rows: int) -> None:
        """`model` still has its stock layers."""
        layers = model.model.language_model.layers
        config: Any = model.config
        width = config.text_config.hidden_size
        self._store = torch.zeros(len(layers), rows, 1, width, dtype=model.dtype, device=model.device)
        self._embed = model.model.time_embedding
        self._conditions = [layer.ada_rms_norm for layer in layers]

    def of(self, delay_tokens: int) -> Tensor:
        """The factors of the layers for a delay, `[layers, 1, width]`."""
        count = torch.full((1,), delay_tokens, dtype=self._store.dtype, device=self._store.device)
        embedded = self._embed(count).reshape(1, -1)
        return torch.stack([1 + condition(embedded) for condition in self._conditions])

    def write(self, row: int, condition: Tensor) -> None:
        self._store[:, row] = condition

    def copy_row(self, source: int, target: int) -> None:
        self._store[:, target] = self._store[:, source]

    def rows(self, first: int, end: int) -> Tensor:
        """Factors of the rows `first` to `end` − 1: the stock model passes them to its layers as `t_cond`."""
        return self._store[:, first:end]


def replace_layers(model: VoxtralRealtimeForConditionalGeneration) -> None:
    """Put these layers and norms into a stock model."""
    for part in (model.model.audio_tower, model.model.language_model):
        for index, stock in enumerate(part.layers):
            part.layers[index] = Layer(stock)
        part.norm = Norm(part.norm)


def compilable(model: VoxtralRealtimeForConditionalGeneration) -> list[tuple[list[nn.Module], str]]:
    """Modules whose method of this name can be compiled. For attention, only this module's own class."""
    layers = [*model.model.audio_tower.layers, *model.model.language_model.layers]
    attentions = [layer.self_attn for layer in layers if isinstance(layer.self_attn, Attention)]
    return [(layers, Layer.transform.__name__), (attentions, Attention.turn.__name__)]


def _joined(projections: Sequence[Any]) -> nn.Module:
    """One projection whose output is that of several projections of the same input, concatenated."""
    weight = torch.cat([_bytes(one.weight.detach()) for one in projections]).view(projections[0].weight.dtype)
    bias = _joined_bias(projections)
    if isinstance(projections[0], EightBitLinear):
        return EightBitLinear(weight, torch.cat([one.scales.detach() for one in projections]), bias)
    with torch.device("meta"):
        joined = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    joined.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        joined.bias = nn.Parameter(bias, requires_grad=False)
    return joined


def _joined_bias(projections: Sequence[Any]) -> Tensor | None:
    """Zeros for projections without a bias."""
    biases = [one.bias for one in projections]
    kind = next((bias for bias in biases if bias is not None), None)
    if kind is None:
        return None
    parts = [
        kind.new_zeros(one.weight.shape[0]) if bias is None else bias.detach()
        for one, bias in zip(projections, biases, strict=True)
    ]
    return torch.cat(parts)


def _bytes(weight: Tensor) -> Tensor:
    """Weights of 8 bits as bytes: not every operation supports their types."""
    return weight.view(torch.uint8) if weight.dtype.itemsize == 1 else weight
