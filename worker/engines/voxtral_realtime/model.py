"""The model with a batch of rows: a pass advances rows by one position, 80 ms of audio and one token.

Owns all tensors. Works on rows and positions; the engine decides which session has a row, and what its tokens mean.
A pass runs audio → mel → encoder → language model → token for the first `batch` rows without leaving the device;
reading the tokens is its only synchronisation with the host.
"""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import VoxtralRealtimeForConditionalGeneration

from worker.engines.attention_kernels import pinned_kernels
from worker.engines.compiling import Compiler
from worker.engines.cuda_graphs import CudaRecorder
from worker.engines.keyterms.boosting import BoostedRows
from worker.engines.keyterms.trie import Trie
from worker.engines.staging import Staged
from worker.engines.token_scores import STEPS
from worker.engines.voxtral_realtime.attention import additive, kernel_name, use_rings
from worker.engines.voxtral_realtime.attention_choice import AttentionPart, Wanted, choose_attention, choose_products
from worker.engines.voxtral_realtime.layers import compilable, replace_layers
from worker.engines.voxtral_realtime.mel import LogMel
from worker.engines.voxtral_realtime.memory import RowMemory
from worker.engines.voxtral_realtime.passes import Passes
from worker.engines.voxtral_realtime.prefill import CHUNK, Prefill
from worker.engines.voxtral_realtime.prompt import FRESH, Prompt
from worker.engines.voxtral_realtime.speaking import Sayable, Speaking
from worker.engines.voxtral_realtime.weights import small_weights

COLD_PASSES: Final = 2
"""In the first passes libraries allocate plans and buffers."""


def _ignored(_done: int, _count: int) -> None:
    """Ignores the progress of the warm-up."""


class BatchedModel:
    """All tensors are allocated here, once. Call `warm_up` before the first `start`."""

    def __init__(
        self,
        model: VoxtralRealtimeForConditionalGeneration,
        log_mel: LogMel,
        prompt: Prompt,
        sayable: Sayable,
        *,
        rows: int,
        text_window: int,
        attn_implementation: str,
        cuda_graphs: bool,
        attention: Wanted = "auto",
        kv_dtype: torch.dtype | None = None,
        compiler: Compiler | None = None,
    ) -> None:
        """`kv_dtype`: the type in the rings, the model's own if unset. `compiler`: compiles layers; none if unset."""
        config: Any = model.config
        device = model.device
        self._model = model
        self._log_mel = log_mel.to(device)
        self._prompt = prompt
        self._speaking = Speaking(model.lm_head, sayable, rows)
        self._boosted = BoostedRows(rows, device)
        self._with_terms: set[int] = set()
        """The rows that have key terms."""
        self._frames: int = config.downsample_factor
        text = config.text_config
        self._text_group: int = text.num_attention_heads // text.num_key_value_heads
        self._rows = rows
        self._memory = RowMemory(model, rows, text_window, stored_as=kv_dtype)
        self._dtype = model.dtype
        self._said: Tensor | None = None
        """The result of the pass that has been launched, `[2, batch]`; the device may still run it."""
        self.log_probabilities: list[float] = []
        """Of the tokens that were read last, by row."""
        self._tokens = torch.zeros(rows, dtype=torch.long, device=device)
        self._positions = torch.zeros(rows, dtype=torch.long, device=device)
        self._pcm = Staged(torch.zeros(rows, prompt.window_samples), device)
        self._forced = Staged(torch.full((rows,), FRESH), device)
        self._advances = Staged(torch.zeros(rows, dtype=torch.bool), device)
        self._reached = np.zeros(rows, np.int64)  # the host's copy of the positions
        use_rings(model, attn_implementation)
        replace_layers(model)
        self._wanted_attention = attention
        self._has_chosen = False
        self.attention = kernel_name(attn_implementation, model)
        """The name of the attention code, for people. `warm_up` may choose a faster one."""
        self.products = "torch"
        """The name of the code for products with weights of 8 bits, if there are any; likewise."""
        self._prefill = Prefill(model, self._log_mel, self._memory)
        self._compiler = compiler or Compiler("off", device)
        recorder = CudaRecorder(device) if cuda_graphs and device.type == "cuda" else None
        self._passes = Passes(self._pass, rows, self._memory.text.length, recorder)

    @property
    def recorded(self) -> bool:
        """Whether passes are replayed as CUDA graphs."""
        return self._passes.recorded

    @property
    def compilation(self) -> str:
        """Whether layers are compiled, as a text for people."""
        return self._compiler.description

    @property
    def kernels_text(self) -> str:
        """The attention code, and what is stored in another precision than the model's, as a text for people."""
        text = f"attention: {self.attention}"
        if self._memory.text.is_converted:
            text += f"; keys and values: {'fp8' if self._memory.text.is_fp8 else 'bf16'}"
        return text + (f"; products with weights of 8 bits: {self.products}" if small_weights(self._model) else "")

    @torch.inference_mode()
    def full_passes_ms(self, batch: int, count: int, longest_ms: float) -> list[float]:
        """Milliseconds of passes over this many rows with full windows, with their staging. Call it before `warm_up`.

        `count` passes after two that are not counted; fewer if one takes longer than `longest_ms`.
        """
        self._choose()
        self.limit(batch)
        self._passes.record_largest()
        window = np.random.default_rng(0).standard_normal(self._prompt.window_samples).astype(np.float32) * 0.1
        self.place(slice(batch), self._memory.text.length)
        passes_ms: list[float] = []
        for _ in range(COLD_PASSES + count):
            started_s = time.perf_counter()
            for row in range(batch):
                self.stage(row, window)
            self.run(batch)
            passes_ms.append((time.perf_counter() - started_s) * 1000)
            if len(passes_ms) > 1 and passes_ms[-1] > longest_ms:
                return passes_ms[-1:]
        return passes_ms[COLD_PASSES:]

    def limit(self, rows: int) -> None:
        """Use at most this many rows. Call it before `warm_up`."""
        self._rows = rows
        self._passes.limit(rows)

    @torch.inference_mode()
    def warm_up(self, delays_tokens: Collection[int], progress: Callable[[int, int], None] = _ignored) -> None:
        """Prepare the initial state of sessions with these delays, and run (or record) a pass of every shape."""
        self._choose()
        self._passes.warm_up(progress)
        self.prefill(0, np.zeros((CHUNK, self._prompt.window_samples), np.float32), [self._prompt.pad_token] * CHUNK)
        wanted = sorted(delays_tokens)
        for first in range(0, len(wanted), self._rows):
            self._run_silence(wanted[first : first + self._rows])

    def start(self, row: int, delay_tokens: int) -> None:
        """Restart a row, before its first audio."""
        self._reached[row] = self._prompt.first_position
        self._restore_row(row, delay_tokens)

    def place(self, rows: int | slice, position: int) -> None:
        """Treat rows as if they had come to this position, whatever is in their rings, to measure passes."""
        self._positions[rows] = position
        self._reached[rows] = position

    def prefer(self, row: int, trie: Trie | None) -> None:
        """Set the key terms of a row from the next pass on. No pass may be in flight: this copies to the device."""
        self._with_terms.discard(row)
        if trie is not None:
            self._with_terms.add(row)
        self._write_terms(row, trie)

    def move(self, source: int, target: int) -> None:
        """Copy a row's state to another row."""
        self._reached[target] = self._reached[source]
        self._with_terms.discard(target)
        if source in self._with_terms:
            self._with_terms.remove(source)
            self._with_terms.add(target)
        self._copy_row(source, target)

    def rest(self, row: int) -> None:
        """Give a free row a position that sees an entry: one that sees nothing becomes NaN, and so does its ring."""
        self._reached[row] = 0
        self._with_terms.discard(row)
        self._free_row(row)

    def prefill(self, row: int, pcm: NDArray[np.float32], tokens: Sequence[int]) -> None:
        """Advance a row by several positions at once, at most `CHUNK`. A pass in flight must not advance the row.

        `pcm` is their audio, `[positions, window_samples]`, and `tokens` their input tokens. Returns no output tokens.
        """
        first = int(self._reached[row])
        self._reached[row] = first + len(tokens)
        self._prefill_row(row, first, pcm, tokens)

    def stage(self, row: int, pcm: NDArray[np.float32], forced_token: int = FRESH) -> None:
        """Set the audio of a row in the next pass, `[window_samples]`, and its token. Other rows do not advance."""
        assert self._said is None, "until its tokens are read, a pass may still read what was staged for it"
        self._pcm.rows[row] = pcm
        self._forced.rows[row] = forced_token
        self._advances.rows[row] = True

    def staged_pcm(self, batch: int) -> NDArray[np.float32]:
        """The last audio of the first rows, `[batch, window_samples]`; valid until the next `stage`."""
        pcm: NDArray[np.float32] = self._pcm.rows[:batch]
        return pcm

    @torch.inference_mode()
    def launch(self, batch: int) -> None:
        """Start a pass over the first `batch` rows. Rows may be started, moved and freed before it is read."""
        assert self._said is None, "the pass before has not been read"
        for staged in (self._pcm, self._forced, self._advances):
            staged.send(self._passes.shape(batch))
        self._reached[:batch] += self._advances.rows[:batch]
        said = self._passes.run(batch, positions=int(self._reached[:batch].max()))
        if self._with_terms:
            self._prefer_terms(batch)
        self._said = said[:, :batch]

    def read(self) -> list[int]:
        """Wait for the pass and return the token of each row; those of rows not staged are meaningless."""
        assert self._said is not None, "no pass has been launched"
        said, steps = self._said.tolist()  # waits for the device: from here on it has read what was staged
        self._said = None
        self._advances.rows[:] = False
        self.log_probabilities = [one / STEPS for one in steps]
        tokens: list[int] = said
        return tokens

    def run(self, batch: int) -> list[int]:
        """A pass from its launch to its tokens."""
        self.launch(batch)
        return self.read()

    @torch.inference_mode()
    def _write_terms(self, row: int, trie: Trie | None) -> None:
        self._boosted.write(row, trie)

    @torch.inference_mode()
    def _prefer_terms(self, batch: int) -> None:
        """Replace the tokens of the pass by those that the rows with key terms prefer. Launched after each pass, since
        recorded passes have no part for it."""
        tokens, advances, own = self._speaking.tokens[:batch], self._advances.device[:batch], self._tokens[:batch]
        scores, likeliest = self._speaking.scores[:batch], tokens[:, None].clone()
        self._boosted.prefer(scores, tokens, advances)
        lacking = scores.gather(1, tokens[:, None]) - scores.gather(1, likeliest)
        self._speaking.said[1, :batch] += (lacking[:, 0] * STEPS).long()
        own.copy_(torch.where(advances, tokens, own))

    @torch.inference_mode()
    def _restore_row(self, row: int, delay_tokens: int) -> None:
        self._memory.restart(row, delay_tokens)
        self._positions[row] = self._prompt.first_position
        self._boosted.restart(row)

    @torch.inference_mode()
    def _copy_row(self, source: int, target: int) -> None:
        self._memory.copy_row(source, target)
        self._boosted.copy_row(source, target)
        for tensor in (self._tokens, self._positions):
            tensor[target] = tensor[source]

    @torch.inference_mode()
    def _free_row(self, row: int) -> None:
        self._positions[row] = 0
        self._boosted.clear(row)

    @torch.inference_mode()
    def _prefill_row(self, row: int, first: int, pcm: NDArray[np.float32], tokens: Sequence[int]) -> None:
        with pinned_kernels(self._positions.device):
            self._prefill(row, first, torch.from_numpy(pcm), tokens)
        self._positions[row] = first + len(tokens)

    def _choose(self) -> None:
        """Choose the attention and product code, then whether layers are compiled; once, before passes are timed."""
        if not self._has_chosen:
            self._has_chosen = True
            self._choose_kernels()
            self._choose_compilation()

    def _choose_kernels(self) -> None:
        parts = [
            AttentionPart("encoder", self._model.model.audio_tower, self._memory.encoder, 1),
            AttentionPart("language model", self._model.model.language_model, self._memory.text, self._text_group),
        ]
        self.products = choose_products(self._wanted_attention, self._model, self._positions.device)
        self.attention = choose_attention(self._wanted_attention, parts, self._rows, self.attention)

    def _choose_compilation(self) -> None:
        batches, shortest = sorted({1, min(2, self._rows)}), 1

        def run() -> None:
            for batch in batches:
                self._pass(batch, shortest)

        def time_s() -> float:
            return sum(self._passes.time_s(batch, shortest) for batch in sorted({1, self._rows}))

        self._compiler.choose(compilable(self._model), run, time_s)

    def _run_silence(self, delays_tokens: Sequence[int]) -> None:
        batch = len(delays_tokens)
        silence = np.zeros(self._prompt.window_samples, np.float32)
        self._memory.pads.clear()
        self._positions.zero_()
        self._reached[:] = 0
        conditions = {delay_tokens: self._memory.delays.of(delay_tokens) for delay_tokens in delays_tokens}
        for row, condition in enumerate(conditions.values()):
            self._memory.delays.write(row, condition)
        for position in range(self._prompt.first_position):
            for row, delay_tokens in enumerate(delays_tokens):
                self.stage(row, silence, self._prompt.token_at(position, delay_tokens))
            self.run(batch)
        self._memory.keep_silence(conditions, self._prompt.first_position)
        for row in range(batch):
            self.rest(row)

    def _pass(self, batch: int, positions: int) -> Tensor:
        """`positions`: every row of the batch is within it, or the rings are full. Returns what `Speaking` does."""
        with pinned_kernels(self._positions.device):
            return self._tokens_of(batch, positions)

    def _tokens_of(self, batch: int, positions: int) -> Tensor:
        forced, own, advances = self._forced.device[:batch], self._tokens[:batch], self._advances.device[:batch]
        audio = self._encode(batch, positions)
        read = self._model.get_input_embeddings()(torch.where(forced == FRESH, own, forced))[:, None]
        at = self._positions[:batch, None]
        said = self._model.model.language_model(
            inputs_embeds=read + audio,
            position_ids=at,
            attention_mask=additive(self._memory.text.prepare(at, positions), self._dtype, self._text_group),
            past_key_values=self._memory.text,
            t_cond=self._memory.delays.rows(0, batch),
            use_cache=True,
        ).last_hidden_state
        chosen: Tensor = self._speaking(said[:, 0])
        own.copy_(torch.where(advances, chosen[0], own))
        self._positions[:batch] += advances
        return chosen

    def _encode(self, batch: int, positions: int) -> Tensor:
        """The audio embeddings of each row, `[batch, 1, text width]`."""
        tower = self._model.model.audio_tower
        mel = self._log_mel(self._pcm.device[:batch]).to(self._dtype)
        first = self._positions[:batch, None] * self._frames
        at = first + torch.arange(self._frames, device=first.device)
        self._memory.pads.prepare(self._advances.device[:batch])
        heard = tower(
            input_features=mel,
            padding_cache=self._memory.pads,
            position_ids=at,
            attention_mask=additive(self._memory.encoder.prepare(at, positions * self._frames), self._dtype, 1),
            past_key_values=self._memory.encoder,
            use_cache=True,
        ).last_hidden_state
        return self._model.model.multi_modal_projector(heard.reshape(batch, 1, -1))
