"""The GPU memory in use, for a worker's heartbeat.

The engine thread reads it, since it owns the device: torch answers within microseconds. For engines without torch the
driver's library, NVML, is used on a separate thread, so that a driver that hangs does not block the model. If
it cannot be read, it is reported as unknown; nothing here raises.
"""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pynvml
import structlog

from shared.gpus import gpu_identity

INTERVAL_S: Final = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GpuMemory:
    used_bytes: int | None = None
    total_bytes: int | None = None


UNKNOWN: Final = GpuMemory()


class GpuMemoryWatch:
    """`sample` is called often by the engine thread; `latest` may be read by any thread."""

    def __init__(self, device: str) -> None:
        self.latest = UNKNOWN
        self._on_gpu = device.startswith("cuda")
        self._index = int(device.partition(":")[2] or 0) if self._on_gpu else 0
        self._due_s = 0.0
        self._asking: threading.Thread | None = None
        self._has_failed = False

    def sample(self) -> None:
        """Read the memory if the last reading is too old. Returns at once."""
        now_s = time.monotonic()
        if not self._on_gpu or now_s < self._due_s:
            return
        self._due_s = now_s + INTERVAL_S
        if torch := _torch_on_cuda():
            self._keep(lambda: _of_torch(torch, self._index))
        elif self._asking is None or not self._asking.is_alive():
            self._asking = threading.Thread(
                target=self._keep, args=(lambda: _of_driver(self._index),), name="gpu-memory", daemon=True
            )
            self._asking.start()

    def _keep(self, read: Callable[[], GpuMemory]) -> None:
        try:
            self.latest = read()
        except Exception as error:  # noqa: BLE001 -- a faulty driver must not end the worker
            self.latest = UNKNOWN
            if not self._has_failed:
                log.warning("gpu_memory_unknown", reason=str(error) or type(error).__name__)
            self._has_failed = True


def _torch_on_cuda() -> Any | None:
    """Torch, if this process uses it on a GPU. It is never imported for this, since that would take GPU memory."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def _of_torch(torch: Any, index: int) -> GpuMemory:
    free_bytes, total_bytes = torch.cuda.mem_get_info(index)
    return GpuMemory(total_bytes - free_bytes, total_bytes)


def _of_driver(index: int) -> GpuMemory:
    identity = gpu_identity(index)
    if identity is None:
        return UNKNOWN
    pynvml.nvmlInit()
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(_handle(identity))
        return GpuMemory(int(memory.used), int(memory.total))
    finally:
        pynvml.nvmlShutdown()


def _handle(identity: str) -> Any:
    """Find it by number, by name, or by the beginning of a name, as CUDA_VISIBLE_DEVICES allows."""
    if identity.isdigit():
        return pynvml.nvmlDeviceGetHandleByIndex(int(identity))
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        if str(pynvml.nvmlDeviceGetUUID(handle)).startswith(identity):
            return handle
    return pynvml.nvmlDeviceGetHandleByUUID(identity)  # a slice of a GPU: MIG-…
