"""Chooses the next token of an answer with timestamps. Pure.

The rules are those of `ApplyTimestampRules` in CTranslate2's `src/models/whisper.cc`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class TimestampRules:
    """Timestamps begin and end each sentence of an answer, and never decrease."""

    def __init__(self, *, end: int, timestamps: int, suppressed: Sequence[int]) -> None:
        """`end`: the token that ends an answer; those before it are text. `timestamps`: the first timestamp.

        The tokens between them begin answers, and are never chosen.
        """
        self._end, self._timestamps = end, timestamps
        self._suppressed = np.array([*suppressed, *range(end + 1, timestamps)])

    def choose(self, logits: NDArray[np.float32], said: Sequence[int]) -> tuple[int, float]:
        """The likeliest token after `said`, and the logarithm of its probability."""
        allowed = self.log_probabilities(logits, said)
        token = int(allowed.argmax())
        return token, float(allowed[token])

    def log_probabilities(self, logits: NDArray[np.float32], said: Sequence[int]) -> NDArray[np.float32]:
        """The logarithm of the probability of each token after `said`, which begins with a timestamp."""
        allowed = logits.copy()
        allowed[self._suppressed] = -np.inf
        latest = next(token for token in reversed(said) if token >= self._timestamps)
        allowed[self._timestamps : latest] = -np.inf
        after_timestamp = said[-1] >= self._timestamps
        if after_timestamp and (len(said) == 1 or said[-2] >= self._timestamps):
            allowed[self._timestamps :] = -np.inf
        else:
            if after_timestamp:
                allowed[: self._end] = -np.inf
            if log_of_sum(allowed[self._timestamps :]) > allowed[: self._timestamps].max():
                allowed[: self._timestamps] = -np.inf
        allowed -= log_of_sum(allowed)
        return allowed


def log_of_sum(logits: NDArray[np.float32]) -> float:
    """The logarithm of the sum of their exponentials."""
    most = float(logits.max())
    return most + float(np.log(np.exp(logits - most).sum())) if np.isfinite(most) else -np.inf
