"""Attention over rings, and rotary angles for positions without end; both are put into transformers' stock layers."""

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, VoxtralRealtimeForConditionalGeneration


class ExactRotary(nn.Module):
    """Cosine and sine of `position × frequency`, with the phase in float64.

    In float32, as the stock module has it, the phase of position 2²⁰ (a day) is off by up to 0.06 rad, and differences
    between neighbours with it. In float64 the error stays below 1e-6 rad for ten thousand years.
    """

    def __init__(self, inv_freq: Tensor, scaling: float) -> None:
        super().__init__()
        self.inv_freq = nn.Buffer(inv_freq.double(), persistent=False)
        self._scaling = scaling

    def forward(self, hidden: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """`position_ids`, `[batch, queries]`; gives two of `[batch, queries, head_dim]` in the type of `hidden`."""
        phase = position_ids[..., None].double() * self.inv_freq
        angles = torch.cat([phase, phase], dim=-1)
        return (angles.cos() * self._scaling).to(hidden.dtype), (angles.sin() * self._scaling).to(hidden.dtype)


def ring_sdpa(
    _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **options: float
) -> tuple[Tensor, None]:
    """PyTorch's fused attention. See `_grouped` for the shapes."""
    grouped, mask = _grouped(query, key, attention_mask)
    heard = nn.functional.scaled_dot_product_attention(
        grouped, key, value, attn_mask=mask, scale=options.get("scaling")
    )
    return _ungrouped(heard, query), None


def ring_eager(
    _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **options: float
) -> tuple[Tensor, None]:
    """Two matrix products and a softmax in float32: more parallel than a fused kernel in small batches."""
    grouped, mask = _grouped(query, key, attention_mask)
    scores = (grouped @ key.transpose(2, 3)) * options["scaling"]
    weights = scores.float().masked_fill(~mask, float("-inf")).softmax(dim=-1).to(query.dtype)
    return _ungrouped(weights @ value, query), None


def _grouped(query: Tensor, key: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Queries that share a head of keys become queries of that head, so that no key is ever copied.

    `query` `[batch, heads, queries, dim]` → `[batch, key heads, group × queries, dim]`; `mask`
    `[batch, 1, queries, entries]` → the same for each member of a group.
    """
    batch, heads, queries, dim = query.shape
    group = heads // key.shape[1]
    if group == 1:
        return query, mask
    return query.reshape(batch, key.shape[1], group * queries, dim), mask.repeat(1, 1, group, 1)


def _ungrouped(heard: Tensor, query: Tensor) -> Tensor:
    """`[batch, queries, heads, dim]`, as the stock layers expect."""
    return heard.reshape(query.shape).transpose(1, 2).contiguous()


_FUNCTIONS = {"sdpa": ring_sdpa, "eager": ring_eager}


def use_rings(model: VoxtralRealtimeForConditionalGeneration, attn_implementation: str) -> None:
    """Let the stock layers of a model attend to rings, by `sdpa` or `eager`."""
    name = f"voxtral_ring_{attn_implementation}"
    AttentionInterface.register(name, _FUNCTIONS[attn_implementation])
    for part in (model.model.audio_tower, model.model.language_model):
        part.config._attn_implementation = name
        part.rotary_emb = ExactRotary(part.rotary_emb.inv_freq, part.rotary_emb.attention_scaling)
