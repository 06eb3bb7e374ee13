"""Several positions of one row in one pass, if all of the row's audio and tokens are known: no token is predicted.

The result equals that of as many passes, except for the order of sums. A pass reads all weights for one position of
each row; this reads them once for a chunk of positions, which a GPU computes in about the time of a pass. Chunks are
rare and have many shapes, so they run from Python and are never recorded.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from transformers import VoxtralRealtimeForConditionalGeneration

from worker.engines.voxtral_realtime.attention import additive
from worker.engines.voxtral_realtime.mel import LogMel
from worker.engines.voxtral_realtime.memory import RowMemory
from worker.engines.voxtral_realtime.ring import ConvolutionPads, Ring

CHUNK: Final = 32
"""Maximum positions. Other sessions wait while a chunk is computed: 470 GFLOP of the published model, calculated as
10 ms on an RTX A4500 and 1 ms on an H100, in addition to one read of all weights."""
MIN_CHUNK: Final = 8
"""Fewer positions are processed in passes, which other sessions need anyway."""


class Prefill:
    """See `BatchedModel` for the parts that it uses."""

    def __init__(self, model: VoxtralRealtimeForConditionalGeneration, log_mel: LogMel, memory: RowMemory) -> None:
        config: Any = model.config
        self._model, self._log_mel, self._memory = model, log_mel, memory
        self._frames: int = config.downsample_factor
        text = config.text_config
        self._text_group: int = text.num_attention_heads // text.num_key_value_heads

    def __call__(self, row: int, first: int, pcm: Tensor, tokens: Sequence[int]) -> None:
        """Positions of `row` from `first` on: `pcm` `[positions, window_samples]`, and their input tokens."""
        model, count, device, dtype = self._model.model, len(tokens), self._model.device, self._model.dtype
        mel = self._log_mel(pcm.to(device)).to(dtype)  # [positions, mel bins, mel frames of one]
        sounds = _RowChunk(self._memory.encoder, row, first * self._frames, count * self._frames)
        heard = model.audio_tower(
            input_features=mel.transpose(0, 1).flatten(1)[None],
            padding_cache=_RowPads(self._memory.pads, row),
            position_ids=sounds.positions[None],
            attention_mask=additive(sounds.visible(), dtype, 1),
            past_key_values=sounds,
            use_cache=True,
        ).last_hidden_state
        audio = model.multi_modal_projector(heard.reshape(1, count, -1))
        words = _RowChunk(self._memory.text, row, first, count)
        model.language_model(
            inputs_embeds=self._model.get_input_embeddings()(torch.tensor([tokens], device=device)) + audio,
            position_ids=words.positions[None],
            attention_mask=additive(words.visible(), dtype, self._text_group),
            past_key_values=words,
            t_cond=self._memory.delays.rows(row, row + 1),
            use_cache=True,
        )


class _RowChunk:
    """One row's ring and the positions that follow its content. Replaces transformers' `Cache`.

    A chunk may overwrite entries that its first queries still see, so the ring's content is read before it is written.
    """

    def __init__(self, ring: Ring, row: int, first: int, count: int) -> None:
        self._ring, self._row, self._first = ring, row, first
        self._held = min(first, ring.length)
        self.positions = torch.arange(first, first + count, device=ring.device)

    def takes_kernel(self, _queries: int) -> bool:
        """Kernels exist only for passes."""
        return False

    def visible(self) -> Tensor:
        """True if a query sees an entry, `[1, 1, queries, held + queries]`: of the ring first, then of the chunk."""
        last = self._first - 1
        index = torch.arange(self._held, device=self.positions.device)
        entries = torch.cat([last - (last - index) % self._ring.length, self.positions])
        asked = self.positions[:, None]
        return ((entries <= asked) & (entries > asked - self._ring.window))[None, None]

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Both `[1, heads, queries, head_dim]`; returns what the queries may see, in the order of `visible`."""
        held_keys, held_values = self._ring.read_row(self._row, layer_idx, self._held)
        seen = (
            torch.cat([held_keys, self._ring.as_kept(keys)], dim=2),
            torch.cat([held_values, self._ring.as_kept(values)], dim=2),
        )
        kept = self.positions[-self._ring.length :]
        self._ring.write_row(self._row, layer_idx, kept, keys[:, :, -len(kept) :], values[:, :, -len(kept) :])
        return seen


class _RowPads:
    """One row's convolution pads. Replaces transformers' padding cache."""

    def __init__(self, pads: ConvolutionPads, row: int) -> None:
        self._pads, self._row = pads, row

    def update(self, hidden: Tensor, cache_key: str, _convolution: object) -> Tensor:
        return self._pads.update_row(self._row, hidden, cache_key)
