"""What NVIDIA's driver reports about the GPUs, through its own tool and without any model library.

Used only at start, since the tool may take seconds. A tool that is missing, slow, hangs or reports nothing raises no
error: the result is then that nothing is known.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import structlog

TIMEOUT_S: Final = 10.0
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
"""The GPUs that CUDA numbers, by the driver's own number or name. The driver's tool ignores it."""
ORDER: Final = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
"""Lets CUDA number GPUs as the driver does. Its own order puts the fastest first."""
SLICE_PREFIX: Final = "MIG-"

WHOLE: Final = re.compile(r"GPU (\d+): .*?(?:\(UUID: ([^)]+)\))?$")
SLICE: Final = re.compile(r"\s+MIG \S*?(\d+)gb\S*\s.*\(UUID: (MIG-[^)]+)\)")
"""A slice of the GPU above it. Its profile, such as 1g.10gb, names its memory, which the driver does not report."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Slice:
    uuid: str
    total_bytes: int


@dataclass(frozen=True, slots=True)
class _Gpu:
    number: str
    uuid: str
    slices: list[_Slice] = field(default_factory=list)
    """Those of MIG. CUDA sees them instead of the GPU, and a process only one of them."""


def memory_bytes(device: str) -> tuple[int | None, int | None]:
    """(used, total) memory of the device, or (None, None) if it is not a GPU or its memory is not known.

    Only the total is known for a slice of a GPU.
    """
    if not device.startswith("cuda"):
        return None, None
    identity = gpu_identity(int(device.partition(":")[2] or 0))
    if identity is None:
        return None, None
    if slices := _slices(identity, _listed()):
        return None, slices[0].total_bytes
    return _memory_of_whole(identity)


def _memory_of_whole(identity: str) -> tuple[int | None, int | None]:
    query = ("-i", identity, "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits")
    try:
        used_mib, total_mib = (int(value) for value in (_ask(*query) or "").split(","))
    except ValueError:  # no output, or [N/A], as for unified memory
        return None, None
    return used_mib * 2**20, total_mib * 2**20


def largest_gpu() -> int:
    """CUDA's number of the GPU with the most memory: the first of equal ones, or if their memory is not known."""
    names = visible_gpus()
    if len(names) < 2 or any(name.startswith(SLICE_PREFIX) for name in names):  # a process sees one slice only
        return 0
    totals = [_memory_of_whole(name)[1] or 0 for name in names]
    return totals.index(max(totals))


def gpu_count() -> int:
    """GPUs that the driver lists; 0 without a driver."""
    return len(_listed())


def visible_gpus() -> list[str]:
    """The driver's names of the GPUs that CUDA may use, in CUDA's order, with the slices of a GPU instead of it."""
    gpus, visible = _listed(), os.environ.get(VISIBLE)
    names = [gpu.number for gpu in gpus] if visible is None else _named(visible)
    found = [name for one in names for name in ([part.uuid for part in _slices(one, gpus)] or [one])]
    return found[: sum(len(gpu.slices) or 1 for gpu in gpus)]


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


def _listed() -> list[_Gpu]:
    """The GPUs that the driver lists."""
    gpus: list[_Gpu] = []
    for line in (_ask("-L") or "").splitlines():
        if whole := WHOLE.match(line):
            gpus.append(_Gpu(whole[1], whole[2] or ""))
        elif gpus and (part := SLICE.match(line)):
            gpus[-1].slices.append(_Slice(part[2], int(part[1]) * 10**9))
    return gpus


def _slices(identity: str, gpus: list[_Gpu]) -> list[_Slice]:
    """The slices of the GPU, or the slice, with this number or (beginning of a) name; none if it is a whole GPU."""
    for gpu in gpus:
        if identity == gpu.number or gpu.uuid.startswith(identity):
            return gpu.slices
        if named := [part for part in gpu.slices if part.uuid.startswith(identity)]:
            return named[:1]
    return []


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
