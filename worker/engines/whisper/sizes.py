"""How much of a GPU's memory each Whisper model needs, and in which precision one fits. Pure.

Parameters, layers and widths are those of OpenAI's README and of the models' `config.json`. The memory besides the
weights is computed for the largest batch, `MEMBERS` windows of `WINDOW_S`, or fewer longer ones: keys and values of the
decoder's attention to the audio, and what one layer of the encoder holds at a time. The same sum for one window of 30 s
and a beam of five gives 4.9 GB for large-v2 in float16 and 3.4 GB in int8; faster-whisper's README measured 4.5 and
2.9 GB.
"""

from dataclasses import dataclass
from typing import Final, Literal

WINDOW_S: Final = 12
MEMBERS: Final = 32
POSITIONS_PER_S: Final = 50
VALUE_BYTES: Final = 2
CONTEXT_BYTES: Final = 500_000_000
"""Used by CUDA and its libraries."""
USABLE_SHARE: Final = 0.9
"""The usable part of a card's memory; the rest is the driver's and the display's."""

ComputeType = Literal["float16", "int8_float16"]


@dataclass(frozen=True, slots=True)
class Size:
    parameters: int
    width: int
    heads: int
    decoder_layers: int

    def needed_bytes(self, compute_type: ComputeType) -> int:
        """Memory for the weights and for the largest batch."""
        weights = self.parameters * (VALUE_BYTES if compute_type == "float16" else 1)
        return weights + CONTEXT_BYTES + self.batch_bytes

    @property
    def batch_bytes(self) -> int:
        """Memory of the largest batch."""
        return MEMBERS * self.window_bytes(WINDOW_S)

    def window_bytes(self, window_s: float) -> int:
        """Memory of one window of a batch."""
        positions = round(window_s * POSITIONS_PER_S)
        attended = 2 * self.decoder_layers * positions * self.width
        encoder_layer = self.heads * positions**2 + 4 * self.width * positions
        return (attended + encoder_layer) * VALUE_BYTES

    def fits(self, compute_type: ComputeType, memory_bytes: int) -> bool:
        return self.needed_bytes(compute_type) <= USABLE_SHARE * memory_bytes


TINY: Final = Size(39_000_000, 384, 6, 4)
BASE: Final = Size(74_000_000, 512, 8, 6)
DISTIL_SMALL: Final = Size(166_000_000, 768, 12, 4)
SMALL: Final = Size(244_000_000, 768, 12, 12)
DISTIL_MEDIUM: Final = Size(394_000_000, 1024, 16, 2)
DISTIL_LARGE: Final = Size(756_000_000, 1280, 20, 2)
MEDIUM: Final = Size(769_000_000, 1024, 16, 24)
TURBO: Final = Size(809_000_000, 1280, 20, 4)
LARGE: Final = Size(1_550_000_000, 1280, 20, 32)
SIZES: Final = {
    "whisper-tiny.en": TINY,
    "whisper-tiny": TINY,
    "whisper-base.en": BASE,
    "whisper-base": BASE,
    "whisper-distil-small.en": DISTIL_SMALL,
    "whisper-small.en": SMALL,
    "whisper-small": SMALL,
    "whisper-distil-medium.en": DISTIL_MEDIUM,
    "whisper-medium.en": MEDIUM,
    "whisper-medium": MEDIUM,
    "whisper-large-v1": LARGE,
    "whisper-distil-large-v2": DISTIL_LARGE,
    "whisper-distil-large-v3": DISTIL_LARGE,
    "whisper-distil-large-v3.5": DISTIL_LARGE,
    "whisper-large-v2": LARGE,
    "whisper-large-v3-turbo": TURBO,
    "whisper-large-v3": LARGE,
}


def size_of(name: str, weights_bytes: int) -> Size:
    """The size of a named model; for any other, the one whose weights in float16 are closest to its file."""
    if name in SIZES:
        return SIZES[name]
    return min(SIZES.values(), key=lambda size: abs(size.parameters * VALUE_BYTES - weights_bytes))


def fitting_compute_type(size: Size, memory_bytes: int | None) -> ComputeType:
    """float16, or int8_float16 if that does not fit into the GPU's memory, if the memory is known."""
    return "float16" if memory_bytes is None or size.fits("float16", memory_bytes) else "int8_float16"
