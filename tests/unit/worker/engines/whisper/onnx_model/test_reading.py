"""Word times from what the decoder attended to as it read an answer."""

import numpy as np
import pytest

from worker.engines.whisper.onnx_model.reading import FRAMES_PER_POSITION, Reading, text_probability

POSITIONS = 60
PADDING = 20
"""Positions after the audio."""
START, TIMESTAMP, KNOWN = 2, 4, 6
"""Two tokens of a prompt, two that begin the answer, its first timestamp, and a forced token."""
TEXT = [0, 2]
"""The new tokens are text, a timestamp, text, and a timestamp."""


def reading() -> Reading:
    """Each token is chosen by the one before it: the forced one by the timestamp, for example."""
    scores = np.zeros((2, KNOWN + 4, POSITIONS + PADDING), np.float32)
    for row, start, end in ((TIMESTAMP, 0, 10), (KNOWN - 1, 10, 25), (KNOWN + 1, 25, 40), (KNOWN + 2, 40, 60)):
        scores[:, row, start:end] = 8
    scores[:, :START, 30:35] = 8
    scores[:, KNOWN, 44:58] = 10
    scores[:, KNOWN + 1, 53:60] = 6
    scores[:, KNOWN + 3, 50:55] = 8
    scores[:, :, POSITIONS:] = 9
    return Reading(scores, START, TIMESTAMP, KNOWN, [0.5, 0.0, 0.7, 0.0])


def test_forced_and_new_text_and_its_end_have_times_without_those_of_the_prompt_and_timestamps() -> None:
    aligned = reading().align(TEXT, POSITIONS * FRAMES_PER_POSITION)
    tokens, positions = zip(*aligned.alignments, strict=True)
    assert tokens == (0, 1, 2, 3)
    assert positions == (0, 10, 25, 40)


def test_forced_text_is_certain_and_new_text_as_likely_as_it_was() -> None:
    assert reading().align(TEXT, POSITIONS * FRAMES_PER_POSITION).text_token_probs == [1.0, 0.5, 0.7]


def test_probability_is_that_among_all_text() -> None:
    logits = np.log(np.array([1, 3, 4, 100], np.float32))
    assert [text_probability(logits, token, 3) for token in range(4)] == pytest.approx([1 / 8, 3 / 8, 1 / 2, 0])
