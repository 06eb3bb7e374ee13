"""Memory of the device: read at several moments, and compared. Nothing may grow once a model is warm."""

import gc
from dataclasses import dataclass
from typing import Final

import torch

from tests.gpu.report import Report
from worker.engines.voxtral_realtime.engine import SPARE_BYTES

MOST_GROWTH_BYTES: Final = 2**20
"""Of PyTorch's tensors, between the warm-up and when all sessions have left."""


@dataclass(frozen=True, slots=True)
class Reading:
    moment: str
    allocated_bytes: int
    """By PyTorch's tensors."""
    reserved_bytes: int
    """By PyTorch, for tensors and recorded passes."""
    free_bytes: int
    """Of the whole card."""

    def row(self, model: str) -> dict[str, object]:
        sizes = {"allocated GB": self.allocated_bytes, "reserved GB": self.reserved_bytes, "free GB": self.free_bytes}
        return {"model": model, "moment": self.moment} | {name: round(size / 1e9, 3) for name, size in sizes.items()}


def read(device: torch.device, moment: str) -> Reading | None:
    """None on a CPU."""
    if device.type != "cuda":
        return None
    gc.collect()
    torch.cuda.synchronize(device)
    allocated, reserved = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
    return Reading(moment, allocated, reserved, torch.cuda.mem_get_info(device)[0])


def check_memory(report: Report, model: str, readings: list[Reading | None]) -> None:
    """The last two readings: after the warm-up, and after all sessions have left."""
    name = f"{model}: memory after all sessions is that after the warm-up"
    known = [reading for reading in readings if reading is not None]
    if len(known) < 2:
        report.skip(name, "the memory of a CPU is not measured")
        return
    for reading in known:
        report.measured("memory", reading.row(model))
    warm, after = known[-2:]
    grown, taken = after.allocated_bytes - warm.allocated_bytes, warm.free_bytes - after.free_bytes
    report.expect(
        name,
        grown <= MOST_GROWTH_BYTES and taken <= SPARE_BYTES,
        expected=_growth(MOST_GROWTH_BYTES, SPARE_BYTES) + " at most",
        found=_growth(grown, taken),
    )
    name = f"{model}: some memory stays free after the warm-up"
    expected, found = f"at least {SPARE_BYTES / 1e9:.2f} GB", f"{warm.free_bytes / 1e9:.2f} GB"
    report.expect(name, warm.free_bytes >= SPARE_BYTES, expected=expected, found=found)


def _growth(tensors_bytes: int, card_bytes: int) -> str:
    return f"{tensors_bytes / 1e6:.1f} MB more of tensors, {card_bytes / 1e6:.1f} MB more in use on the card"
