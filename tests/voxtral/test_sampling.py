import pytest
import torch
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

from shared.session_options import KeyTerm
from tests.unit.worker.engines.keyterms.vocabulary import COUNT, encoded, trie_of
from worker.engines.keyterms.boosting import Boosts
from worker.engines.keyterms.trie import AT_START
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
    said = next_tokens(SCORES, dice)
    assert [one.token for one in said] == SCORES.argmax(dim=-1).tolist()
    expected = SCORES.log_softmax(dim=-1).max(dim=-1).values
    torch.testing.assert_close(torch.tensor([one.log_probability for one in said]), expected, atol=1e-4, rtol=0)


def test_seed_decides_and_rows_do_not_disturb_each_other() -> None:
    def drawn(seed: int, others: int) -> list[int]:
        die = Dice(Sampling(1.0, 0.9, seed))
        dice = [die, *(Dice(Sampling(1.0, 0.9, 99)) for _ in range(others))]
        return [next_tokens(SCORES[: others + 1], list(dice))[0].token for _ in range(12)]

    assert drawn(7, others=0) == drawn(7, others=3)
    assert drawn(7, others=0) != drawn(8, others=0)


def test_token_that_key_terms_prefer_has_the_probability_that_the_model_gives_it() -> None:
    trie = trie_of(KeyTerm("abcd", 4.0))
    first = encoded(" a")[0]
    scores = torch.zeros(2, COUNT)
    scores[:, COUNT - 1] = 1.0
    preferred, plain = next_tokens(scores, [None, None], Boosts([(0, trie, AT_START)], torch.device("cpu")))
    assert (preferred.token, plain.token) == (first, COUNT - 1)
    expected = scores[0].log_softmax(dim=-1)
    for one in (preferred, plain):
        assert one.log_probability == pytest.approx(float(expected[one.token]), abs=1e-3)
