"""Weights of 8 bits for small GPUs: int8 or fp8 (e4m3), with a scale for each output of a linear layer.

The projections of all layers are converted, nine tenths of the published model. Embeddings (also the output layer),
convolutions, norms and values that are computed once per session are not converted: they decide close calls between
tokens, and would save little.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from worker.engines.voxtral_realtime.fp8 import FP8, MAX

WeightDtype = Literal["int8", "fp8"]
STORED_AS: Final[dict[WeightDtype, torch.dtype]] = {"int8": torch.int8, "fp8": FP8}
LARGEST: Final[dict[WeightDtype, float]] = {"int8": 127.0, "fp8": MAX}
PARTS: Final = ("audio_tower", "language_model")

Product = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(hidden [..., in], codes [out, in], scales [out])` → `[..., out]`."""


def is_converted(name: str) -> bool:
    """Whether `convert` makes a checkpoint's tensor of this name smaller."""
    return ".layers." in name and name.endswith("_proj.weight") and any(part in name for part in PARTS)


def convert(model: Any, kind: WeightDtype, device: torch.device) -> None:
    """Convert the projections of all layers, one after another, and put them on `device`. The rest is unchanged."""
    for part in PARTS:
        for layer in getattr(model.model, part).layers:
            for owner in (layer.self_attn, layer.mlp):
                for name, linear in list(owner.named_children()):
                    if isinstance(linear, nn.Linear):
                        setattr(owner, name, EightBitLinear.of(linear, kind, device))


def small_weights(model: nn.Module) -> list[Any]:
    """The modules with weights of 8 bits: `EightBitLinear`, or modules that have joined several of them."""
    return [one for one in model.modules() if getattr(one, "scales", None) is not None]


def product(hidden: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """The product by PyTorch: it restores the weights of the layer first. Codes are exact in every type."""
    return nn.functional.linear(hidden, codes.to(hidden.dtype)) * scales


class EightBitLinear(nn.Module):
    """Replaces a linear layer."""

    def __init__(self, codes: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        """`codes` `[out, in]`, `scales` `[out]` in the type that the model computes in."""
        super().__init__()
        self.weight = nn.Parameter(codes, requires_grad=False)
        self.scales = nn.Parameter(scales, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.product: Product = product

    @classmethod
    def of(cls, linear: nn.Linear, kind: WeightDtype, device: torch.device) -> "EightBitLinear":
        """Scales are rounded first, so that the codes compensate for it."""
        weight = linear.weight.detach().to(device)
        largest = weight.float().abs().amax(dim=1).clamp(min=1e-12)
        scales = (largest / LARGEST[kind]).to(weight.dtype).clamp(min=_least(weight.dtype))
        values = (weight.float() / scales.float()[:, None]).clamp(-LARGEST[kind], LARGEST[kind])
        codes = (values.round() if kind == "int8" else values).to(STORED_AS[kind])
        return cls(codes, scales, None if linear.bias is None else linear.bias.detach().to(device))

    def forward(self, hidden: Tensor) -> Tensor:
        result = self.product(hidden, self.weight, self.scales)
        return result if self.bias is None else result + self.bias


def _least(dtype: torch.dtype) -> float:
    """The smallest number above 0. In float16 the scale of an output without weights would be 0, and divided by."""
    return torch.finfo(dtype).tiny * torch.finfo(dtype).eps
