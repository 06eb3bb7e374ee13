"""What the decoder attended to as it read an answer, and how likely each of its tokens was. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.engines.whisper.onnx_model.alignment import token_positions

FRAMES_PER_POSITION: Final = 2
"""The encoder halves the number of frames."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """The parts of `ctranslate2.models.WhisperAlignmentResult` that word times need."""

    alignments: list[tuple[int, int]]
    """Each token, and then the end of the text, with the index of the encoder's output where it begins."""
    text_token_probs: list[float]


@dataclass(frozen=True, slots=True)
class Reading:
    scores: NDArray[np.float32]
    """`[alignment heads, tokens, positions]`, before the softmax: of each known token, and of each new one but the
    last. A token is chosen by what the one before it attends to."""
    start: int
    """The known tokens: the first one of the answer's start, after any prompt."""
    timestamp: int
    """The first timestamp, which ends the start."""
    known: int
    """How many there are. Those after the timestamp are forced text."""
    probabilities: list[float]
    """Of each new token, among all tokens of text."""

    def align(self, said: Sequence[int], frames: int) -> Alignment:
        """When the forced tokens and some new ones were spoken, in the window's first `frames`.

        `said`: indices of new tokens, those of text. Forced tokens have a probability of 1. The method is that of
        OpenAI's `whisper/timing.py`, which reads the text again, without timestamps. The last word before a pause ends
        where the pause does: measured, with ends before it, shown words change more often.
        """
        forced = self.known - self.timestamp - 1
        before = self.known - 1
        rows = [*range(self.start, before), *(before + index for index in said), before + said[-1] + 1]
        scores = self.scores[:, rows, : frames // FRAMES_PER_POSITION]
        positions = token_positions(scores, self.timestamp - self.start)
        return Alignment(list(enumerate(positions)), [1.0] * forced + [self.probabilities[index] for index in said])


def text_probability(logits: NDArray[np.float32], token: int, end: int) -> float:
    """The probability of a token among all tokens of text, which precede `end`; 0 for other tokens."""
    if token >= end:
        return 0.0
    texts = logits[:end]
    most = texts.max()
    return float(np.exp(texts[token] - most) / np.exp(texts - most).sum())
