"""The next token of each row, from the model's scores."""

from typing import Final, NamedTuple

import torch

from worker.engines.keyterms.boosting import Boosts
from worker.engines.token_scores import STEPS
from worker.engines.voxtral.requests import Sampling

ROWS_AT_ONCE: Final = 32
"""Rows whose probabilities are in memory at the same time: 34 MB in float32."""


class Said(NamedTuple):
    token: int
    log_probability: float


class Dice:
    """Draws the tokens of one request; the same seed draws the same tokens from the same scores."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._generator = torch.Generator().manual_seed(sampling.seed)

    def draw(self, scores: torch.Tensor) -> Said:
        """A token by the scores `[vocabulary]` of one row, on any device. Its probability is that at temperature 1."""
        scores = scores.float().cpu()
        probabilities = kept_probabilities(scores, self._sampling)
        token = int(torch.multinomial(probabilities, 1, generator=self._generator))
        return Said(token, float(scores.log_softmax(dim=-1)[token]))


def kept_probabilities(scores: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """`[vocabulary]`: temperature, then the likeliest tokens that together have `top_p`, as transformers does it."""
    probabilities = (scores / sampling.temperature).softmax(dim=-1)
    ascending, order = probabilities.sort()
    unlikely = ascending.cumsum(dim=-1) <= 1 - sampling.top_p
    unlikely[-1] = False
    probabilities[order[unlikely]] = 0.0
    return probabilities / probabilities.sum()


def next_tokens(scores: torch.Tensor, dice: list[Dice | None], boosts: Boosts | None = None) -> list[Said]:
    """The next token of each row by its scores `[rows, vocabulary]`; the likeliest where a row has no dice."""
    tokens, steps = likeliest(scores, boosts).tolist()  # waits for the device
    return [
        Said(token, step / STEPS) if die is None else die.draw(row)
        for token, step, die, row in zip(tokens, steps, dice, scores, strict=True)
    ]


@torch.inference_mode()
def likeliest(scores: torch.Tensor, boosts: Boosts | None = None) -> torch.Tensor:
    """The likeliest token of each row, or the one that `boosts` prefers, and its log-probability in `STEPS`.

    `[2, rows]` on the device of the scores. Boosts do not change the probability of a token.
    """
    first = scores.argmax(dim=-1)
    best = scores.gather(1, first[:, None]).float()
    parts = zip(scores.split(ROWS_AT_ONCE), best.split(ROWS_AT_ONCE), strict=True)
    totals = torch.cat([(part.float() - top).exp_().sum(dim=-1) for part, top in parts])
    tokens = first if boosts is None else boosts.preferred(scores, first)
    lacking = (scores.gather(1, tokens[:, None]).float() - best)[:, 0]
    return torch.stack([tokens, ((lacking - totals.log_()) * STEPS).long()])
