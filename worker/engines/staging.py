"""Input of a pass: written row by row on the host, and sent to the device in one asynchronous copy.

A copy from pinned memory may run long after `send` has returned. Until the
host has waited for a result of the pass, the device may still read `host`, so nothing may be written there. Engines
make asynchronous copies to a device only through this class.
"""

from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


class Staged:
    """`host` is pinned if the device is a GPU; `device` is the copy that passes read."""

    def __init__(self, host: Tensor, device: torch.device) -> None:
        self.host = host.pin_memory() if device.type == "cuda" else host
        self.device = host.to(device, copy=True)

    @cached_property
    def rows(self) -> NDArray[Any]:
        """The memory of `host` as a NumPy array, which writes a row in a tenth of the time of torch."""
        rows: NDArray[Any] = self.host.numpy()
        return rows

    def send(self, rows: int) -> None:
        """Copy the first rows. Write to `host` again only after the host has read a result of the pass."""
        self.device[:rows].copy_(self.host[:rows], non_blocking=True)
