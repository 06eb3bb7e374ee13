"""How large the tensors of a checkpoint are, and how many rows of them fit into memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import StartupError
from shared.session_options import DELAYS_MS
from worker.engines.cuda_graphs import GRAPH_BYTES, STREAMS, WORKSPACE_BYTES
from worker.engines.voxtral_realtime.passes import recorded_passes

RING_ALIGNMENT: Final = 16
"""Ring lengths are a multiple of this: attention kernels accept masks only with aligned rows."""
RESERVED_BYTES: Final = 2 * 1024**3
"""Reserve on a GPU for activations, recorded passes and the libraries' own buffers."""
RESERVED_SHARE: Final = 0.1
"""Reserve as a share of the memory that is free after the weights."""
ACTIVATIONS_BYTES: Final = 1024**3
MAX_AUTO_ROWS: Final = 512
FP8_SCALE_BYTES: Final = 2
"""Scale of each 8-bit key and value of a head."""


@dataclass(frozen=True, slots=True)
class RingShape:
    layers: int
    heads: int
    head_dim: int
    window: int
    """Positions that a query sees, itself included."""
    queries: int
    """Positions that one pass writes."""

    @property
    def length(self) -> int:
        """Entries: the first query of a pass must still see its whole window when the last has been written."""
        return -(-(self.window + self.queries - 1) // RING_ALIGNMENT) * RING_ALIGNMENT

    @property
    def values(self) -> int:
        """Numbers in one row, keys and values."""
        return self.length * self.entry_values

    @property
    def entry_values(self) -> int:
        """Numbers of one position, keys and values."""
        return 2 * self.layers * self.heads * self.head_dim


def encoder_ring(config: Any) -> RingShape:
    audio = config.audio_config
    return RingShape(
        audio.num_hidden_layers,
        audio.num_attention_heads,
        audio.head_dim,
        audio.sliding_window,
        config.downsample_factor,
    )


def text_ring(config: Any, window: int) -> RingShape:
    """`window` is limited to the length that the checkpoint was trained with."""
    text = config.text_config
    return RingShape(
        text.num_hidden_layers,
        text.num_key_value_heads,
        text.head_dim,
        min(window, text.sliding_window or window),
        1,
    )


def pad_shapes(model: Any) -> dict[str, tuple[int, int]]:
    """Channels and left padding of the causal convolutions, by the key of their cache."""
    embedder = model.model.audio_tower.embedder
    return {
        convolution.cache_key: (convolution.in_channels, convolution.left_pad)
        for convolution in (embedder.conv1, embedder.conv2)
    }


def row_bytes(config: Any, text_window: int, value_bytes: int) -> int:
    """Memory of one session: its two rings. Its other state is less than a thousandth of them."""
    return (encoder_ring(config).values + text_ring(config, text_window).values) * value_bytes


def row_bytes_fp8(config: Any, text_window: int, value_bytes: int) -> int:
    """The same with rings of 8-bit numbers.

    PyTorch's attention converts one layer at a time into numbers of `value_bytes`.
    """
    rings = (encoder_ring(config), text_ring(config, text_window))
    stored = sum(ring.values + ring.values // ring.head_dim * FP8_SCALE_BYTES for ring in rings)
    return stored + max(ring.values // ring.layers for ring in rings) * value_bytes


def beside_bytes(config: Any, value_bytes: int, *, silent_positions: int, delays: int, recorded_passes: int) -> int:
    """Memory besides the rows: the snapshots of the silence that sessions begin with, recorded passes, workspaces."""
    encoder = encoder_ring(config).entry_values * silent_positions * config.downsample_factor
    text = text_ring(config, silent_positions).entry_values * silent_positions * delays
    return (encoder + text) * value_bytes + recorded_passes * GRAPH_BYTES + STREAMS * WORKSPACE_BYTES


@dataclass(frozen=True, slots=True)
class Room:
    """The memory that a device has for rows, beside the weights."""

    device: str
    free_bytes: int
    beside: Callable[[int], int] = lambda _rows: 0
    """The bytes that this many rows need besides themselves."""

    def fitting(self, bytes_per_row: int, wanted: int | None = None) -> int:
        """How many rows fit beside what `wanted` rows need, or as many as may fit."""
        return max(0, int((self.free_bytes - self._reserved_bytes(bytes_per_row, wanted)) // bytes_per_row))

    def rows(self, bytes_per_row: int, wanted: int | None, *, default: int = 1, remedies: Sequence[str] = ()) -> int:
        """`wanted` rows, or as many as fit on a GPU, or at most `default` of them on a CPU.

        Raises `StartupError` if they do not fit. `remedies`: settings and values that leave more room.
        """
        fitting = self.fitting(bytes_per_row, wanted)
        rows = wanted or min(fitting, MAX_AUTO_ROWS if self._is_gpu else default)
        if 0 < rows <= fitting:
            return rows
        reserved = _gb(int(self._reserved_bytes(bytes_per_row, wanted)))
        raise StartupError(
            f"Setting model.slots is {wanted or 'unset'}, but {fitting} slots of {_gb(bytes_per_row)} fit into the "
            f"{_gb(self.free_bytes)} of free memory on {self.device} besides the model ({reserved} stay in reserve); "
            f"lower {'model.slots or ' if wanted else ''}model.text_window"
            + (f", or set {' or '.join(remedies)}." if remedies else ".")
        )

    @property
    def _is_gpu(self) -> bool:
        return self.device.startswith("cuda")

    def _reserved_bytes(self, bytes_per_row: int, wanted: int | None) -> float:
        share = RESERVED_SHARE * self.free_bytes
        if not self._is_gpu:
            return share
        reserved = max(share, RESERVED_BYTES)
        most = wanted or min(MAX_AUTO_ROWS, max(1, int((self.free_bytes - reserved) // bytes_per_row)))
        return max(reserved, ACTIVATIONS_BYTES + self.beside(most))


def room_for(
    config: Any,
    text_window: int,
    value_bytes: int,
    *,
    device: str,
    free_bytes: int,
    silent_positions: int,
    records: bool = True,
) -> Room:
    """The room of a loaded model. `records`: whether passes are recorded."""
    positions = text_ring(config, text_window).length

    def beside(rows: int) -> int:
        return beside_bytes(
            config,
            value_bytes,
            silent_positions=silent_positions,
            delays=len(DELAYS_MS),
            recorded_passes=recorded_passes(rows, positions) if records else 0,
        )

    return Room(device, free_bytes, beside)


def _gb(size: int) -> str:
    return f"{size / 1e9:.3g} GB"
