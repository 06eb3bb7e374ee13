"""Where and in which precision a Whisper model runs, by the settings and by what CTranslate2 supports here.

Every failure is a `StartupError` of one sentence that names the setting to change.
"""

from dataclasses import dataclass
from typing import Final

import ctranslate2
import structlog

from shared.config.sections import ModelSettings
from shared.errors import StartupError
from shared.gpus import gpu_count, largest_gpu, memory_bytes
from worker.engines.whisper.batches import CPU_LIMITS, Limits, gpu_limits
from worker.engines.whisper.cuda import cuda_obstacle
from worker.engines.whisper.sizes import BASE, Size, fitting_compute_type

COMPUTE_TYPES: Final = ("int8", "int8_float16", "float16", "float32")
"""Allowed values of `model.compute_type`."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Placement:
    device: str = "cpu"
    """`cpu`, `cuda:0`, `cuda:1`, …"""
    compute_type: str = "int8"
    threads: int = 2
    """Batches that run in parallel, each on one core; a GPU runs one at a time."""
    feature_threads: int = 1
    """Spectrograms that are computed in parallel. On a CPU the threads above share that work; a GPU has only one."""
    english: bool = False
    """All speech is treated as English, even if the vocabulary has other languages."""
    translates: bool = True
    """Whether a multilingual model was trained to translate."""
    size: Size = BASE
    """Decides how many windows a batch on a GPU may have."""

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"

    @property
    def allows_onnx(self) -> bool:
        """Whether `OnnxWhisper` can decode live windows."""
        return not self.on_gpu and self.compute_type == "int8"

    @property
    def device_index(self) -> int:
        return int(self.device.partition(":")[2] or 0)

    @property
    def limits(self) -> Limits:
        return gpu_limits(self.size) if self.on_gpu else CPU_LIMITS


def device(wanted: str) -> str:
    """`cpu` or `cuda:N` for `model.device`. `auto`: the largest GPU if CTranslate2 can use one; it logs why not."""
    if wanted == "cpu":
        return "cpu"
    obstacle = cuda_obstacle()
    if wanted == "auto":
        if obstacle and gpu_count():
            log.warning("gpu_unused", reason=obstacle)
        return "cpu" if obstacle else f"cuda:{largest_gpu()}"
    if obstacle:
        raise StartupError(f"Setting model.device is {wanted!r}, but {obstacle}, or set model.device to cpu.")
    index, count = int(wanted.partition(":")[2] or 0), ctranslate2.get_cuda_device_count()
    if index >= count:
        names = ", ".join(f"cuda:{one}" for one in range(count))
        raise StartupError(f"Setting model.device is {wanted!r}, but this machine has only {names}.")
    return f"cuda:{index}"


def asked_compute_type(model: ModelSettings, device: str) -> str | None:
    """The configured precision, as CTranslate2 calls it; None for `auto`."""
    allowed = _supported(device)
    wanted = _wanted(model, allowed)
    if wanted == "auto":
        return None
    if wanted not in allowed:
        raise StartupError(
            f"Setting model.compute_type is {wanted!r}, which {device} does not support; "
            f"allowed there: auto, {', '.join(allowed)}."
        )
    return wanted


def auto_compute_type(device: str, size: Size) -> str:
    """The precision for `auto`: the first that the device supports and that fits into a GPU's memory."""
    if device == "cpu":
        preferred = ["int8", "float32"]
    elif fitting_compute_type(size, memory_bytes(device)[1]) == "float16":
        preferred = ["float16", "int8_float16", "int8", "float32"]
    else:
        preferred = ["int8_float16", "int8", "float16", "float32"]
    supported = _supported(device)
    return next(one for one in preferred if one in supported)


def _supported(device: str) -> list[str]:
    kind, _, index = device.partition(":")
    supported = ctranslate2.get_supported_compute_types(kind, int(index or 0))
    return [one for one in COMPUTE_TYPES if one in supported]


def _wanted(model: ModelSettings, allowed: list[str]) -> str:
    """`model.compute_type`, or else `model.torch_dtype`, a setting of the Voxtral models that also allows float32."""
    if model.torch_dtype in ("auto", model.compute_type):
        return model.compute_type
    if model.torch_dtype == "float32" and model.compute_type == "auto":
        return "float32"
    raise StartupError(
        f"Setting model.torch_dtype is {model.torch_dtype!r}, which applies to Voxtral models; set it to auto, and "
        f"model.compute_type to the precision of the Whisper model (allowed here: auto, {', '.join(allowed)})."
    )
