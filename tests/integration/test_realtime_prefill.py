"""A chunk of known positions leaves a row as so many passes would, wherever it stands in its windows."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.tiny.batched_model import PROMPT, ROWS, batched_model
from tests.tiny.vocabulary import STREAMING_PAD, VOCABULARY_SIZE
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.prefill import CHUNK

pytestmark = pytest.mark.usefixtures("one_thread")

ROW = 1
"""Of `ROWS`; the others run on beside it."""


def model_of(attn_implementation: str) -> BatchedModel:
    model = batched_model(attn_implementation)
    model.warm_up([2, 6])
    for row in range(ROWS):
        model.start(row, 2 if row == ROW else 6)
    return model


def heard(count: int, seed: int) -> tuple[NDArray[np.float32], list[int]]:
    """What so many positions hear, and tokens that they read."""
    generator = np.random.default_rng(seed)
    pcm = generator.standard_normal((count, PROMPT.window_samples)).astype(np.float32) * 0.1
    return pcm, generator.integers(1000, VOCABULARY_SIZE, count).tolist()


def by_passes(model: BatchedModel, pcm: NDArray[np.float32], tokens: list[int]) -> None:
    for window, token in zip(pcm, tokens, strict=True):
        model.stage(ROW, window, token)
        model.run(ROWS)


def said_next(model: BatchedModel) -> list[list[int]]:
    """What all rows say in the next passes, each reading what it said before."""
    generator = np.random.default_rng(9)
    said = []
    for number in range(16):
        for row in range(ROWS):
            pcm = generator.standard_normal(PROMPT.window_samples).astype(np.float32) * 0.1
            model.stage(row, pcm, *([STREAMING_PAD] if number == 0 else []))
        said.append(model.run(ROWS))
    return said


@pytest.mark.parametrize(
    ("before", "count", "attn_implementation"),
    [(0, CHUNK, "eager"), (3, 11, "sdpa"), (50, CHUNK, "sdpa")],
)
def test_chunk_leaves_a_row_as_passes_do(before: int, count: int, attn_implementation: str) -> None:
    """The windows are 5 positions of the encoder and 24 of the language model: a chunk may be longer than its ring."""
    at_once, one_by_one = model_of(attn_implementation), model_of(attn_implementation)
    for model in (at_once, one_by_one):
        by_passes(model, *heard(before, 1))
    pcm, tokens = heard(count, 2)
    at_once.prefill(ROW, pcm, tokens)
    by_passes(one_by_one, pcm, tokens)
    assert at_once._positions.tolist() == one_by_one._positions.tolist()
    assert at_once._reached.tolist() == one_by_one._reached.tolist()
    for key, pad in at_once._memory.pads.snapshot(ROW).items():
        torch.testing.assert_close(pad, one_by_one._memory.pads.snapshot(ROW)[key], rtol=1e-4, atol=1e-4)
    expected = said_next(one_by_one)
    assert said_next(at_once) == expected
    assert len({tokens[ROW] for tokens in expected}) >= 6, "a test of few tokens proves nothing"


def test_chunk_changes_no_other_row() -> None:
    model = model_of("sdpa")
    before = [model._memory.text.snapshot(row, 64) for row in (0, 2)]
    model.prefill(ROW, *heard(CHUNK, 2))
    for kept, row in zip(before, (0, 2), strict=True):
        torch.testing.assert_close(model._memory.text.snapshot(row, 64), kept, rtol=0, atol=0)
