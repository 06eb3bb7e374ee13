"""Products with weights of 8 bits by the Triton kernel.

PyTorch restores a layer's weights in memory before each product, which moves five bytes for each weight; that is faster
only for batches so large that the product itself takes longer.
"""

from typing import Final

import torch
import triton
from torch import Tensor

from worker.engines.voxtral_realtime.fp8 import FP8
from worker.engines.voxtral_realtime.ring_attention import INTERPRETED, has_fp8, on_device
from worker.engines.voxtral_realtime.weight_kernels import multiply
from worker.engines.voxtral_realtime.weights import product

MAX_ROWS: Final = 64
"""Largest batch for the kernel. Larger ones use PyTorch: a program reads its weights once for this many rows."""
MIN_TILE: Final = 16
TILE_OUTPUTS: Final = 32
BLOCK: Final = 128
"""Inputs that a program reads at a time."""
WARPS: Final = 4


@torch.library.custom_op("eight_bits::product", mutates_args=())
def kernel_product(hidden: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """See `weights.Product`. `torch.compile` does not trace it: the shape of its tiles depends on the batch."""
    outputs, inputs = codes.shape
    rows = hidden.numel() // inputs
    if rows > MAX_ROWS:
        return product(hidden, codes, scales)
    is_fp8 = codes.dtype == FP8
    result = torch.empty(*hidden.shape[:-1], outputs, dtype=hidden.dtype, device=hidden.device)
    with on_device(hidden.device):
        multiply[(triton.cdiv(outputs, TILE_OUTPUTS),)](
            hidden.contiguous(),
            codes.view(torch.uint8) if is_fp8 else codes,
            scales,
            result,
            rows,
            outputs,
            inputs,
            tile_rows=max(MIN_TILE, triton.next_power_of_2(rows)),
            tile_outputs=TILE_OUTPUTS,
            block=BLOCK,
            is_fp8=is_fp8,
            native=has_fp8(hidden.device),
            wide=INTERPRETED,
            num_warps=WARPS,
        )
    return result


@kernel_product.register_fake
def _shape_of_product(hidden: Tensor, codes: Tensor, _scales: Tensor) -> Tensor:
    return hidden.new_empty(*hidden.shape[:-1], codes.shape[0])
