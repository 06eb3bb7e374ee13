"""The model's three passes: audio into embeddings, prompts into memory, and one more token for every answer.

Works on tensors, not on requests. Each pass covers rows of one block, with a mask that lets every query see its own row
up to its own position; so rows of different lengths share a pass, and each gets the same result as alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import VoxtralForConditionalGeneration

from worker.engines.attention_kernels import pinned_kernels
from worker.engines.cuda_graphs import Recorder
from worker.engines.voxtral.kv import KvView
from worker.engines.voxtral.steps import RunningRow, Steps, read_length


@dataclass(frozen=True, slots=True)
class PromptPart:
    """The input of one row in one pass."""

    row: int
    start: int
    """Position of the first token."""
    tokens: list[int]
    audio: torch.Tensor
    """`[audio tokens, width]`: the embeddings that replace them."""
    audio_start: int
    """Index of the first of them in `tokens`; the others follow."""
    scored: int
    """The number of last tokens for which the next token is wanted."""


class Passes:
    """The loaded model on its device."""

    def __init__(self, model: VoxtralForConditionalGeneration, slots: int, recorder: Recorder | None) -> None:
        """`slots`: maximum rows of a block. With a `recorder`, decode steps are recorded by `warm_up` and replayed."""
        self._model = model.model
        self._words = model.get_input_embeddings()
        self._scores = model.lm_head
        self._device = model.device
        self._steps = Steps(self._step, slots, model.device, recorder)

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def recorded(self) -> bool:
        """Whether decode steps are replayed."""
        return self._steps.recorded

    def warm_up(self, blocks: Sequence[torch.Tensor], progress: Callable[[int, int], None]) -> None:
        """Record the decode steps of some blocks. See `Steps.warm_up`."""
        self._steps.warm_up(blocks, progress)

    @torch.inference_mode()
    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """`[windows, mels, frames]` → `[windows × tokens of a window, width]`."""
        embeddings: torch.Tensor = self._model.get_audio_features(features, return_dict=True).pooler_output
        return embeddings

    @torch.inference_mode()
    def prefill(self, block: torch.Tensor, parts: Sequence[PromptPart]) -> torch.Tensor:
        """Store parts of prompts in rows of one block.

        Returns the hidden states at the `scored` last tokens of each part, `[all of them, width]`, for `scores`.
        """
        device, row_tokens = self._device, block.shape[4]
        longest = max(len(part.tokens) for part in parts)
        tokens = torch.zeros(len(parts), longest, dtype=torch.long)
        # A token of an answer may have the number of the audio token and still be a word.
        is_audio, is_scored = torch.zeros(2, len(parts), longest, dtype=torch.bool)
        for index, part in enumerate(parts):
            length = len(part.tokens)
            tokens[index, :length] = torch.tensor(part.tokens)
            is_audio[index, part.audio_start : part.audio_start + len(part.audio)] = True
            is_scored[index, length - part.scored : length] = True
        embeddings = self._words(tokens.to(device))
        audio = torch.cat([part.audio for part in parts]).to(embeddings.dtype)
        embeddings = embeddings.masked_scatter(is_audio.to(device)[:, :, None], audio)
        starts = torch.tensor([part.start for part in parts], device=device)
        # The padding of a shorter part is written after it; its own later tokens overwrite it.
        positions = (starts[:, None] + torch.arange(longest, device=device)).clamp(max=row_tokens - 1)
        rows = torch.tensor([part.row for part in parts], device=device)
        end = max(part.start for part in parts) + longest
        length = read_length(end, row_tokens)
        hidden = self._through(block, rows, embeddings, positions, limits=positions, length=length)
        row, token = is_scored.nonzero(as_tuple=True)
        return hidden[row.to(device), token.to(device)]

    @torch.inference_mode()
    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[n, width]` → the scores of the next token, `[n, vocabulary]`."""
        scores: torch.Tensor = self._scores(hidden)
        return scores

    def decode(self, block: torch.Tensor, running: Sequence[RunningRow]) -> torch.Tensor:
        """Process the last token of each running row; the scores of the next, `[rows, vocabulary]`, by row.

        See `Steps.run`.
        """
        return self._steps.run(block, running)

    @torch.inference_mode()
    def _step(self, block: torch.Tensor, places: torch.Tensor, length: int) -> torch.Tensor:
        """See `steps.Step`. Reads nothing that is on the host."""
        tokens, positions, limits = places.split(1, dim=1)
        hidden = self._through(block, len(places), self._words(tokens), positions, limits=limits, length=length)
        return self.scores(hidden[:, 0])

    def _through(
        self,
        block: torch.Tensor,
        rows: torch.Tensor | int,
        embeddings: torch.Tensor,
        positions: torch.Tensor,
        *,
        limits: torch.Tensor,
        length: int,
    ) -> torch.Tensor:
        """The language model over `[n, queries, width]`; each query sees its row up to its limit, `[n, queries]`.

        All limits are before `length`.
        """
        hidden = torch.arange(length, device=self._device) > limits[:, None, :, None]  # [n, 1, queries, length]
        mask = torch.zeros(hidden.shape, dtype=embeddings.dtype, device=self._device)
        mask.masked_fill_(hidden, torch.finfo(embeddings.dtype).min)
        with pinned_kernels(self._device):
            answer: torch.Tensor = self._model.language_model(
                inputs_embeds=embeddings,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=KvView(block, rows, positions, length),
                use_cache=True,
            ).last_hidden_state
        return answer
