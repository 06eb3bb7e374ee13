"""Which kernels PyTorch's attention may use, for the Voxtral engines."""

from contextlib import AbstractContextManager, nullcontext
from typing import Final

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

PINNED: Final = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""In order of preference. With a mask cuDNN plans each shape, which takes seconds; flash attention accepts no mask."""


def pinned_kernels(device: torch.device) -> AbstractContextManager[None]:
    """On a GPU, the kernels for attention with a mask. A CPU has only one."""
    return sdpa_kernel(PINNED, set_priority=True) if device.type == "cuda" else nullcontext()
