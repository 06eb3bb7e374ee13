"""Which model `model.name: auto` chooses on a machine. Pure: the caller describes the machine."""

from dataclasses import dataclass
from typing import Final

from shared.whisper_models import ANY_WHISPER, EMBEDDED_WHISPER
from worker.engines.whisper.sizes import SIZES, ComputeType

REALTIME: Final = "mistralai/Voxtral-Mini-4B-Realtime-2602"
REALTIME_WEIGHTS_BYTES: Final = 8_860_000_000
"""model.safetensors of the published checkpoint, in bfloat16."""
REALTIME_RESERVE_BYTES: Final = 3_200_000_000
"""2 GiB for passes (`voxtral_realtime.sizes`), 5 % of the weights for loading (`checkpoints`), and CUDA's memory."""
REALTIME_SLOT_BYTES: Final = 419_000_000
"""At the default `model.text_window`."""
MIN_REALTIME_SLOTS: Final = 4
"""If fewer sessions fit, a Whisper is the better choice for a card."""
REALTIME_NEEDED_BYTES: Final = (
    REALTIME_WEIGHTS_BYTES + REALTIME_RESERVE_BYTES + MIN_REALTIME_SLOTS * REALTIME_SLOT_BYTES
)
WHISPERS: Final[tuple[tuple[str, ComputeType], ...]] = (
    ("whisper-large-v3", "float16"),
    ("whisper-large-v3-turbo", "float16"),
    ("whisper-large-v3-turbo", "int8_float16"),
    ("whisper-small", "float16"),
    ("whisper-small", "int8_float16"),
    ("whisper-base", "float16"),
    ("whisper-tiny", "float16"),
)
"""The best one for live speech first: medium is slower than turbo and less accurate."""


@dataclass(frozen=True, slots=True)
class Choice:
    model: str
    on_gpu: bool
    reason: str
    """One sentence that explains the choice."""


def choose(gpus: int, gpu_memory_bytes: int | None, device: str = "cuda:0") -> Choice:
    """The model for a machine with `gpus` GPUs, where `device`, the one to use, has `gpu_memory_bytes` in total.

    The total counts, free or not, so that a restarted worker chooses the same model. None: it is not known.
    """
    if not gpus:
        return Choice(
            EMBEDDED_WHISPER,
            False,
            f"model.name is auto and there is no usable NVIDIA GPU, so {EMBEDDED_WHISPER} runs on the CPU.",
        )
    if gpu_memory_bytes is None:
        reason = "model.name is auto and the memory of the NVIDIA GPU is not known"
        return Choice(REALTIME, True, f"{reason}, so {REALTIME} runs on it.")
    gpu = "the GPU" if gpus == 1 else f"{device}, one of {gpus} GPUs,"
    has = f"model.name is auto and {gpu} has {_gb(gpu_memory_bytes)}"
    if gpu_memory_bytes >= REALTIME_NEEDED_BYTES:
        return Choice(REALTIME, True, f"{has}, so {REALTIME} runs on it.")
    lacks = f"{has}, but {REALTIME} needs {_gb(REALTIME_NEEDED_BYTES)}"
    for name, compute_type in WHISPERS:
        if SIZES[name].fits(compute_type, gpu_memory_bytes):
            return Choice(name, True, f"{lacks}, so {name}, the best Whisper that fits, runs on it.")
    return Choice(EMBEDDED_WHISPER, False, f"{lacks} and no Whisper fits, so {EMBEDDED_WHISPER} runs on the CPU.")


def choose_by_files(gpus: int, *, of_whisper: bool) -> Choice:
    """The model whose files are in `model.path`; `of_whisper`: they are in CTranslate2's format."""
    if of_whisper or not gpus:
        where = "the GPU" if gpus else "the CPU"
        return Choice(ANY_WHISPER, gpus > 0, f"model.name is auto, so the Whisper in model.path runs on {where}.")
    return Choice(REALTIME, True, f"model.name is auto and model.path holds no Whisper, so {REALTIME} runs on the GPU.")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
