"""What each row keeps between passes, and the content that it has after the silence with which sessions begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import VoxtralRealtimeForConditionalGeneration

from worker.engines.voxtral_realtime.layers import DelayConditions
from worker.engines.voxtral_realtime.ring import ConvolutionPads, Ring, Snapshot
from worker.engines.voxtral_realtime.sizes import encoder_ring, pad_shapes, text_ring


@dataclass(frozen=True, slots=True)
class _Silence:
    """The state of a row after the silence that every session begins with, and that depends on the delay."""

    text: Snapshot
    delay: Tensor


class RowMemory:
    """Rings, convolution pads and delay conditions of all rows, allocated once."""

    def __init__(
        self,
        model: VoxtralRealtimeForConditionalGeneration,
        rows: int,
        text_window: int,
        *,
        stored_as: torch.dtype | None = None,
    ) -> None:
        """`model` still has its stock layers. `stored_as`: the type in the rings, the model's own if unset."""
        config: Any = model.config
        dtype, device = model.dtype, model.device
        self._frames: int = config.downsample_factor
        self.encoder = Ring(encoder_ring(config), rows, dtype, device, stored_as=stored_as)
        self.text = Ring(text_ring(config, text_window), rows, dtype, device, stored_as=stored_as)
        self.pads = ConvolutionPads(pad_shapes(model), rows, dtype, device)
        self.delays = DelayConditions(model, rows)
        self._silence: dict[int, _Silence] = {}
        """By the delay in tokens."""
        self._silent_pads: dict[str, Tensor] = {}
        self._silent_encoder: Snapshot = ()
        """The same after the silence of every delay."""

    def copy_row(self, source: int, target: int) -> None:
        for part in (self.pads, self.encoder, self.text, self.delays):
            part.copy_row(source, target)

    def keep_silence(self, conditions: Mapping[int, Tensor], positions: int) -> None:
        """Keep what the first rows hold after silence of so many positions. `conditions`: of the delay of each row, by
        the delay in tokens."""
        self._silent_pads = self.pads.snapshot(0)
        self._silent_encoder = self.encoder.snapshot(0, positions * self._frames)
        for row, (delay_tokens, condition) in enumerate(conditions.items()):
            self._silence[delay_tokens] = _Silence(self.text.snapshot(row, positions), condition)

    def restart(self, row: int, delay_tokens: int) -> None:
        """Give a row the content after silence with this delay."""
        silence = self._silence[delay_tokens]
        self.pads.restore(row, self._silent_pads)
        self.encoder.restore(row, self._silent_encoder)
        self.text.restore(row, silence.text)
        self.delays.write(row, silence.delay)
