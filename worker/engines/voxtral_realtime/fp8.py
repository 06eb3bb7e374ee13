"""8-bit numbers, e4m3 (1 sign, 4 exponent and 3 mantissa bits), with a scale for each vector.

The scale maps the largest value of a vector to the largest number of the format, so no value saturates. The error of a
value is at most 1/16 of it, or 2⁻¹⁹ of the vector's largest value if that is more. Scales are bfloat16.
"""

from typing import Final

import torch
from torch import Tensor

FP8: Final = torch.float8_e4m3fn
MAX: Final = 448.0
"""The largest number of the format."""
MIN_SCALE: Final = 2.0**-100
"""Scale of a vector of zeros."""


def quantised(values: Tensor) -> tuple[Tensor, Tensor]:
    """`[…, dim]` → codes `[…, dim]` in `FP8` and scales `[…]`."""
    peaks = values.float().abs().amax(dim=-1)
    scales = (peaks / MAX).clamp(min=MIN_SCALE).to(torch.bfloat16)
    codes = (values.float() / scales.float()[..., None]).clamp(-MAX, MAX).to(FP8)
    return codes, scales


def restored(codes: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    """The values that `quantised` has encoded, `[…, dim]` in `dtype`."""
    return codes.to(dtype).mul_(scales.to(dtype)[..., None])
