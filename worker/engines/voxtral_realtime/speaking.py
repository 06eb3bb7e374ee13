"""Chooses the token of a position: the likeliest of those that can be in a transcript.

Those are the pad, the word marker and the pieces of text. All other special tokens belong to prompts and to other uses
of the vocabulary. An end-of-sequence token in mid-stream means that there is no text at this point, and counts as a
pad: the model was never trained to continue after one.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from worker.engines.token_scores import STEPS

CHUNK: Final = 16_384
"""Rows of the output layer that a CPU converts to float32 at a time."""


@dataclass(frozen=True, slots=True)
class Sayable:
    """The vocabulary's properties of its tokens."""

    pad_token: int
    end_token: int
    allowed: NDArray[np.bool_]
    """By token; tokens of the model that are not in the vocabulary are not allowed."""


class Speaking(nn.Module):
    """The output layer of a model, with scores in float32: in bfloat16 likely tokens tie, and the lowest would win."""

    def __init__(self, output_layer: nn.Linear, sayable: Sayable, rows: int) -> None:
        """`rows`: the most rows of a pass."""
        super().__init__()
        self._weight = output_layer.weight.detach()  # [vocabulary, width]
        self._pad, self._end = sayable.pad_token, sayable.end_token
        bias = torch.full((len(self._weight),), float("-inf"))
        bias[: len(sayable.allowed)][torch.from_numpy(sayable.allowed)] = 0.0
        self.bias = nn.Buffer(bias.to(self._weight.device), persistent=False)
        self.scores = nn.Buffer(torch.empty(rows, len(self._weight), device=self._weight.device), persistent=False)
        """Of the last pass, `[rows, vocabulary]`, in float32; -inf for tokens that are not allowed."""
        said = torch.zeros(2, rows, dtype=torch.long, device=self._weight.device)
        self.said = nn.Buffer(said, persistent=False)
        """Of the last pass, `[2, rows]`: the tokens, and their log-probabilities in `STEPS`, which are those among the
        tokens of a transcript."""
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False

    @property
    def tokens(self) -> Tensor:
        """Of the last pass, `[rows]`."""
        return self.said[0]

    def forward(self, hidden: Tensor) -> Tensor:
        """`hidden`, `[batch, width]`; returns `said` of these rows, which is valid until the next pass."""
        scores = self._scores(hidden)
        scores[:, self._pad] = torch.maximum(scores[:, self._pad], scores[:, self._end])
        batch = len(hidden)
        kept = torch.add(scores, self.bias, out=self.scores[:batch])
        tokens = torch.argmax(kept, dim=-1, out=self.tokens[:batch])
        # In place: with many rows, another copy of the scores would take hundreds of megabytes.
        total = torch.sub(kept, kept.gather(1, tokens[:, None]), out=scores).exp_().sum(dim=-1)
        self.said[1, :batch] = (total.log_() * -STEPS).long()
        return self.said[:, :batch]

    def _scores(self, hidden: Tensor) -> Tensor:
        """Scores in float32, `[batch, vocabulary]`."""
        if hidden.dtype == torch.float32:
            return hidden @ self._weight.T
        if hidden.is_cuda:
            return torch.mm(hidden, self._weight.T, out_dtype=torch.float32)
        return torch.cat([hidden.float() @ part.float().T for part in self._weight.split(CHUNK)], dim=-1)
