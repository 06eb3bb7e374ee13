"""What the driver says of the GPU, without any model library."""

import os
import shutil
import subprocess
from functools import cache
from typing import Final

TIMEOUT_S: Final = 10
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
"""The GPUs that CUDA numbers, by the driver's own number or name. The driver's tool does not heed it."""


def memory_bytes(device: str) -> tuple[int | None, int | None]:
    """(used, total) memory of the device, or (None, None) where it is no GPU or its memory is not known."""
    if not device.startswith("cuda"):
        return None, None
    listed = _query(device.partition(":")[2] or "0")
    try:
        used_mib, total_mib = (int(value) for value in (listed or "").split(","))
    except ValueError:  # nothing was listed, or what unified memory and slices of a GPU have instead: [N/A]
        return None, None
    return used_mib * 2**20, total_mib * 2**20


def gpu_count() -> int:
    """GPUs that the driver lists; 0 where there is no driver."""
    if _tool() is None:
        return 0
    listed = subprocess.run(  # noqa: S603 -- no part of it is input
        [str(_tool()), "-L"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return len(listed.stdout.splitlines()) if listed.returncode == 0 else 0


def _query(index: str) -> str | None:
    identity = _identity(index)
    if _tool() is None or identity is None:
        return None
    command = [str(_tool()), "-i", identity, "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]
    answer = subprocess.run(  # noqa: S603 -- the operator's own environment
        command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else None


def _identity(index: str) -> str | None:
    """What the driver calls the GPU that CUDA numbers `index`; None where CUDA does not see so many."""
    visible = os.environ.get(VISIBLE)
    if visible is None:
        return index
    identities = [part.strip() for part in visible.split(",") if part.strip()]
    return identities[int(index)] if int(index) < len(identities) else None


@cache
def _tool() -> str | None:
    return shutil.which("nvidia-smi")
