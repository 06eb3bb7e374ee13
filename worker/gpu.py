"""What the driver says of the GPU, without any model library."""

import shutil
import subprocess
from functools import cache


def memory_bytes(device: str) -> tuple[int | None, int | None]:
    """(used, total) memory of the device, or (None, None) where it is no GPU."""
    if not device.startswith("cuda"):
        return None, None
    index = device.partition(":")[2] or "0"
    listed = _query(index)
    if listed is None:
        return None, None
    used_mib, total_mib = (int(value) for value in listed.split(","))
    return used_mib * 2**20, total_mib * 2**20


def gpu_count() -> int:
    """GPUs that the driver lists; 0 where there is no driver."""
    if _tool() is None:
        return 0
    listed = subprocess.run([str(_tool()), "-L"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 -- no part of it is input
    return len(listed.stdout.splitlines()) if listed.returncode == 0 else 0


def _query(index: str) -> str | None:
    command = [str(_tool()), "-i", index, "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"]
    if _tool() is None:
        return None
    answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603 -- no part of it is input
    return answer.stdout.strip() if answer.returncode == 0 else None


@cache
def _tool() -> str | None:
    return shutil.which("nvidia-smi")
