"""Which token a position says."""

import numpy as np
import pytest
import torch
from torch import nn

from worker.engines.token_scores import STEPS
from worker.engines.voxtral_realtime.speaking import Sayable, Speaking

PAD, WORD, END, SPECIAL = 3, 4, 2, 6


def speaking(rows: dict[int, list[float]], dtype: torch.dtype = torch.float32) -> Speaking:
    """An output layer of ten tokens and three inputs whose other rows are zero. The vocabulary has nine."""
    layer = nn.Linear(3, 10, bias=False, dtype=dtype)
    layer.requires_grad_(requires_grad=False)
    layer.weight.zero_()
    for token, row in rows.items():
        layer.weight[token] = torch.tensor(row, dtype=dtype)
    allowed = np.arange(9) >= SPECIAL
    allowed[[PAD, WORD]] = True
    return Speaking(layer, Sayable(PAD, END, allowed), rows=2)


@pytest.mark.parametrize(
    ("wanted", "said"), [(PAD, PAD), (WORD, WORD), (8, 8), (END, PAD), (0, 7), (SPECIAL - 1, 7), (9, 7)]
)
def test_likeliest_token_of_a_transcript_is_chosen(wanted: int, said: int) -> None:
    chosen = speaking({wanted: [2.0, 0, 0], 7: [1.0, 0, 0]} if wanted != 7 else {7: [1.0, 0, 0]})
    assert chosen(torch.tensor([[1.0, 0, 0], [1.0, 0, 0]]))[0].tolist() == [said, said]


def test_token_likelier_than_an_end_of_sequence_is_chosen() -> None:
    assert speaking({END: [2.0, 0, 0], 7: [3.0, 0, 0]})(torch.tensor([[1.0, 0, 0]]))[0].tolist() == [7]


def test_tokens_that_tie_in_bfloat16_are_told_apart() -> None:
    """The pad's 256 and the word's 256.5 are one number in bfloat16, and the pad is the lower token."""
    chosen = speaking({PAD: [256.0, 0, 0], WORD: [256.0, 0.5, 0]}, torch.bfloat16)
    hidden = torch.tensor([[1.0, 1.0, 0]], dtype=torch.bfloat16)
    assert (hidden @ chosen._weight.T).argmax(dim=-1).tolist() == [PAD]
    assert chosen(hidden)[0].tolist() == [WORD]


def test_probability_is_that_among_the_tokens_of_a_transcript() -> None:
    """The pad (or the end, which counts as it), the word, 6, 7 and 8 are possible."""
    chosen = speaking({0: [9.0, 0, 0], END: [1.0, 0, 0], 7: [2.0, 0, 0], 8: [0.5, 0, 0]})
    tokens, steps = chosen(torch.tensor([[1.0, 0, 0], [3.0, 0, 0]])).tolist()
    assert tokens == [7, 7]
    for row, scale in enumerate((1.0, 3.0)):
        allowed = torch.tensor([1.0, 0.0, 2.0, 0.5, 0.0]) * scale
        assert steps[row] / STEPS == pytest.approx(float(allowed.log_softmax(dim=0)[2]), abs=1 / STEPS)
