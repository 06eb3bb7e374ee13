"""Graphics cards that Voxtral Realtime is calculated for, and how many sessions each has memory for.

Memory is what `nvidia-smi` lists as total. Bandwidths and speeds are NVIDIA's, from the data sheets that are named:
those of matrix products in bfloat16 are for dense matrices. What a card reaches of them is measured nowhere here.
"""

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, Final

from tests.published import realtime
from tests.published.files import weights_bytes
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.sizes import room_for, row_bytes, row_bytes_fp8
from worker.engines.voxtral_realtime.weights import is_converted

MIB: Final = 2**20
VALUE_BYTES: Final = 2
CONTEXT_BYTES: Final = 450 * 10**6
"""CUDA's own part of a process that has loaded torch's kernels. Not measured: half a gigabyte is usual."""
WEIGHTS_BYTES: Final = weights_bytes(realtime.shapes())
PROMPT: Final = Prompt(
    bos_token=1,
    pad_token=32,
    left_pad_tokens=32,
    default_delay_ms=480,
    hop_samples=160,
    n_fft=400,
    mel_frames=8,
)
"""That of the published checkpoint."""


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    memory_mib: int
    bytes_per_s: float
    """The peak of its memory."""
    flops: float
    """The peak of dense matrix products in bfloat16 with sums in float32."""
    kernel_s: float
    """From one small kernel of a recorded graph to the next; assumed."""
    source: str

    @property
    def free_bytes(self) -> int:
        """Beside the weights, once they are loaded."""
        return self.memory_mib * MIB - CONTEXT_BYTES - WEIGHTS_BYTES


CARDS: Final = (
    Card("RTX A4000 16 GB", 16_376, 448e9, 76.7e12, 2.5e-6, "RTX A4000 data sheet"),
    Card("RTX A4500 20 GB", 20_470, 640e9, 94.6e12, 2.5e-6, "RTX A4500 data sheet"),
    Card("RTX 4090 24 GB", 24_564, 1008e9, 165.2e12, 2.2e-6, "Ada architecture whitepaper"),
    Card("L40S 48 GB", 46_068, 864e9, 362.0e12, 2.2e-6, "L40S data sheet"),
    Card("H100 80 GB", 81_559, 3.35e12, 989.4e12, 1.8e-6, "H100 SXM data sheet"),
    Card("H200 141 GB", 143_771, 4.8e12, 989.4e12, 1.8e-6, "H200 data sheet"),
)


@cache
def published_config() -> object:
    """As transformers has it from the published `config.json`."""
    from transformers import VoxtralRealtimeConfig

    return VoxtralRealtimeConfig(**realtime.CONFIG)


@cache
def small_weights_bytes() -> int:
    """With `model.weight_dtype` int8 or fp8: a byte for each weight of the layers, and a scale for each output."""
    return sum(
        prod(shape) + VALUE_BYTES * shape[0] if is_converted(name) else VALUE_BYTES * prod(shape)
        for name, shape in realtime.shapes().items()
    )


def slots(free_bytes: int, text_window: int, *, config: Any = None, fp8: bool = False) -> int:
    """What fits into so much memory beside the weights of a model in bfloat16; `fp8`: of `model.kv_dtype`."""
    config = config or published_config()
    room = room_for(
        config,
        text_window,
        VALUE_BYTES,
        device="cuda:0",
        free_bytes=free_bytes,
        silent_positions=PROMPT.first_position,
    )
    return room.rows((row_bytes_fp8 if fp8 else row_bytes)(config, text_window, VALUE_BYTES), None)
