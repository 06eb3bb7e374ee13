"""The next token of each row, from the model's scores."""

import torch

from worker.engines.keyterms.boosting import Boosts
from worker.engines.voxtral.requests import Sampling


class Dice:
    """Draws the tokens of one request; the same seed draws the same tokens from the same scores."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._generator = torch.Generator().manual_seed(sampling.seed)

    def draw(self, scores: torch.Tensor) -> int:
        """A token by the scores `[vocabulary]` of one row, on any device."""
        probabilities = kept_probabilities(scores.float().cpu(), self._sampling)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


def kept_probabilities(scores: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """`[vocabulary]`: temperature, then the likeliest tokens that together have `top_p`, as transformers does it."""
    probabilities = (scores / sampling.temperature).softmax(dim=-1)
    ascending, order = probabilities.sort()
    unlikely = ascending.cumsum(dim=-1) <= 1 - sampling.top_p
    unlikely[-1] = False
    probabilities[order[unlikely]] = 0.0
    return probabilities / probabilities.sum()


def next_tokens(scores: torch.Tensor, dice: list[Dice | None], boosts: Boosts | None = None) -> list[int]:
    """The next token of each row by its scores `[rows, vocabulary]`; the likeliest where a row has no dice."""
    likeliest = scores.argmax(dim=-1)
    tokens: list[int] = (likeliest if boosts is None else boosts.preferred(scores, likeliest)).tolist()
    return [token if die is None else die.draw(row) for token, die, row in zip(tokens, dice, scores, strict=True)]
