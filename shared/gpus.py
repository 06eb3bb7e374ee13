"""What NVIDIA's driver reports about the GPUs, through its own tool and without any model library.

Used only at start, since the tool may take seconds. A tool that is missing, slow, hangs or reports nothing raises no
error: the result is then that nothing is known.
"""

import os
import shutil
import subprocess
from functools import cache
from typing import Final

import structlog

TIMEOUT_S: Final = 10.0
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
"""The GPUs that CUDA numbers, by the driver's own number or name. The driver's tool ignores it."""
ORDER: Final = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
"""Lets CUDA number GPUs as the driver does. Its own order puts the fastest first."""

log = structlog.get_logger()


def memory_bytes(device: str) -> tuple[int | None, int | None]:
    """(used, total) memory of the device, or (None, None) if it is not a GPU or its memory is not known."""
    if not device.startswith("cuda"):
        return None, None
    identity = gpu_identity(int(device.partition(":")[2] or 0))
    if identity is None:
        return None, None
    query = ("-i", identity, "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits")
    try:
        used_mib, total_mib = (int(value) for value in (_ask(*query) or "").split(","))
    except ValueError:  # no output, or [N/A], as for unified memory and slices of a GPU
        return None, None
    return used_mib * 2**20, total_mib * 2**20


def largest_gpu() -> int:
    """CUDA's number of the GPU with the most memory: the first of equal ones, or if their memory is not known."""
    count = len(visible_gpus())
    if count < 2:
        return 0
    totals = [memory_bytes(f"cuda:{index}")[1] or 0 for index in range(count)]
    return totals.index(max(totals))


def gpu_count() -> int:
    """GPUs that the driver lists; 0 without a driver."""
    return sum(line.startswith("GPU ") for line in (_ask("-L") or "").splitlines())


def visible_gpus() -> list[str]:
    """The driver's names of the GPUs that CUDA sees, in CUDA's order."""
    count, visible = gpu_count(), os.environ.get(VISIBLE)
    if visible is None:
        return [str(index) for index in range(count)]
    return _named(visible)[:count]


def gpu_identity(index: int) -> str | None:
    """The driver's name of the GPU that has this index in CUDA; None if CUDA does not see so many."""
    visible = os.environ.get(VISIBLE)
    if visible is None:
        return str(index)
    identities = _named(visible)
    return identities[index] if index < len(identities) else None


def driver_version() -> str | None:
    """Such as 550.54.14; None without a driver."""
    return (_ask("--query-gpu=driver_version", "--format=csv,noheader") or "").partition("\n")[0].strip() or None


def _named(visible: str) -> list[str]:
    """Parse it as CUDA does: everything from an invalid number on, such as -1, is ignored."""
    identities = []
    for part in visible.split(","):
        if not part.strip() or part.strip().startswith("-"):
            break
        identities.append(part.strip())
    return identities


def _ask(*arguments: str) -> str | None:
    """The output of the tool; None if it fails or does not answer."""
    tool = _tool()
    if tool is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 -- the operator's environment
            [tool, *arguments], capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("gpu_tool_failed", tool=tool, reason=str(error))
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


@cache
def _tool() -> str | None:
    return shutil.which("nvidia-smi")
