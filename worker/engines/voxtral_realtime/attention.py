"""Attention over rings, and rotary angles for unlimited positions; both are put into transformers' stock layers."""

from typing import Any

import structlog
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, VoxtralRealtimeForConditionalGeneration

from worker.engines.attention_kernels import pinned_kernels

log = structlog.get_logger()


class ExactRotary(nn.Module):
    """Cosine and sine of `position × frequency`, with the phase in float64.

    In float32, as in the stock module, the phase of position 2²⁰ (a day) is off by up to 0.06 rad, and with it the
    differences between neighbours. In float64 the error stays below 1e-6 rad for ten thousand years.
    """

    def __init__(self, inv_freq: Tensor, scaling: float) -> None:
        super().__init__()
        self.inv_freq = nn.Buffer(inv_freq.double(), persistent=False)
        self._scaling = scaling

    def forward(self, hidden: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """`position_ids`, `[batch, queries]`; returns two of `[batch, queries, head_dim]` in the type of `hidden`."""
        phase = position_ids[..., None].double() * self.inv_freq
        angles = torch.cat([phase, phase], dim=-1)
        return (angles.cos() * self._scaling).to(hidden.dtype), (angles.sin() * self._scaling).to(hidden.dtype)


def ring_sdpa(
    _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **options: float
) -> tuple[Tensor, None]:
    """PyTorch's fused attention. See `additive` for the mask."""
    heard = nn.functional.scaled_dot_product_attention(
        _grouped(query, key), key, value, attn_mask=attention_mask, scale=options.get("scaling")
    )
    return _ungrouped(heard, query), None


def ring_eager(
    _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **options: float
) -> tuple[Tensor, None]:
    """Two matrix products and a softmax in float32: more parallel than a fused kernel in small batches."""
    scores = (_grouped(query, key) @ key.transpose(2, 3)) * options["scaling"]
    weights = (scores.float() + attention_mask).softmax(dim=-1).to(query.dtype)
    return _ungrouped(weights @ value, query), None


def additive(visible: Tensor, dtype: torch.dtype, group: int) -> Tensor:
    """The mask of all layers, made once per pass: `[batch, 1, group × queries, entries]`, 0 or −∞.

    `visible` `[batch, 1, queries, entries]`; `group` queries share a head of keys.
    """
    mask = torch.zeros_like(visible, dtype=dtype).masked_fill_(~visible, float("-inf"))
    return mask if group == 1 else mask.repeat(1, 1, group, 1)


def _grouped(query: Tensor, key: Tensor) -> Tensor:
    """Queries that share a head of keys become queries of that head, so that no key is copied.

    `query` `[batch, heads, queries, dim]` → `[batch, key heads, group × queries, dim]`.
    """
    batch, heads, queries, dim = query.shape
    group = heads // key.shape[1]
    return query if group == 1 else query.reshape(batch, key.shape[1], group * queries, dim)


def _ungrouped(heard: Tensor, query: Tensor) -> Tensor:
    """`[batch, queries, heads, dim]`, the shape that the stock layers expect."""
    return heard.reshape(query.shape).transpose(1, 2).contiguous()


def kernel_name(attn_implementation: str, model: VoxtralRealtimeForConditionalGeneration) -> str:
    """The attention kernel on the model's device, as a text for people."""
    if attn_implementation != "sdpa" or model.device.type != "cuda":
        return attn_implementation
    config: Any = model.config.text_config
    heads, group = config.num_key_value_heads, config.num_attention_heads // config.num_key_value_heads
    query = torch.zeros(1, heads, group, config.head_dim, dtype=model.dtype, device=model.device)
    key = torch.zeros(1, heads, 64, config.head_dim, dtype=model.dtype, device=model.device)
    mask = torch.zeros(1, 1, group, 64, dtype=model.dtype, device=model.device)
    with pinned_kernels(model.device):
        asked = torch.backends.cuda.SDPAParams(query, key, key, mask, 0.0, False, False)
        if torch.backends.cuda.can_use_efficient_attention(asked):
            return "sdpa, memory-efficient kernel"
    slow = "PyTorch has no memory-efficient attention kernel for this model on this GPU; its math kernel is slower."
    log.warning("attention_slow", message=slow)
    return "sdpa, math kernel"


_FUNCTIONS = {"sdpa": ring_sdpa, "eager": ring_eager}


def use_rings(model: VoxtralRealtimeForConditionalGeneration, attn_implementation: str) -> None:
    """Make the stock layers of a model attend to rings, by `sdpa` or `eager`."""
    name = f"voxtral_ring_{attn_implementation}"
    AttentionInterface.register(name, _FUNCTIONS[attn_implementation])
    for part in (model.model.audio_tower, model.model.language_model):
        part.config._attn_implementation = name
        part.rotary_emb = ExactRotary(part.rotary_emb.inv_freq, part.rotary_emb.attention_scaling)
