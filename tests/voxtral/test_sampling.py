import pytest
import torch
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

from worker.engines.voxtral.requests import Sampling
from worker.engines.voxtral.sampling import Dice, kept_probabilities, next_tokens

SCORES = torch.randn(4, 500, generator=torch.Generator().manual_seed(1)) * 3


@pytest.mark.parametrize("temperature", [0.2, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.95, 1.0])
def test_probabilities_are_those_of_transformers(temperature: float, top_p: float) -> None:
    ids = torch.zeros(1, 1, dtype=torch.long)
    warped = TemperatureLogitsWarper(temperature)(ids, SCORES[:1])
    if top_p < 1:
        warped = TopPLogitsWarper(top_p)(ids, warped)
    found = kept_probabilities(SCORES[0], Sampling(temperature, top_p, seed=0))
    torch.testing.assert_close(found, warped.softmax(dim=-1)[0])


def test_likeliest_token_is_taken_without_dice() -> None:
    dice = [None, Dice(Sampling(1.0, 1e-6, seed=0)), None, None]
    assert next_tokens(SCORES, dice) == SCORES.argmax(dim=-1).tolist()


def test_seed_decides_and_rows_do_not_disturb_each_other() -> None:
    def drawn(seed: int, others: int) -> list[int]:
        die = Dice(Sampling(1.0, 0.9, seed))
        dice = [die, *(Dice(Sampling(1.0, 0.9, 99)) for _ in range(others))]
        return [next_tokens(SCORES[: others + 1], list(dice))[0] for _ in range(12)]

    assert drawn(7, others=0) == drawn(7, others=3)
    assert drawn(7, others=0) != drawn(8, others=0)
