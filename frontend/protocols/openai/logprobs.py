"""Log probabilities in OpenAI's form, one token for each word. Pure.

Our engines report a probability for each word and not for each of their own tokens. The tokens joined are the text.
"""

from collections.abc import Sequence
from math import log
from typing import Any, Final

from shared.seams import seam
from voxtral_client.parts import Word

MIN_CONFIDENCE: Final = 0.0001
"""The smallest confidence above 0 that an event contains; the logarithm needs one."""


def logprobs(text: str, words: Sequence[Word], before: str = "") -> list[dict[str, Any]]:
    """The words of a final that have a confidence, each with the space before it.

    `before` is the text that the final follows.
    """
    found: list[dict[str, Any]] = []
    gap, at = seam(before, text), 0
    for word in words:
        start = text.find(word.text, at)
        if start < 0:
            continue
        end = start + len(word.text)
        token, gap, at = gap + text[at:end], "", end
        if word.confidence is not None:
            logprob = round(log(max(word.confidence, MIN_CONFIDENCE)), 4)
            found.append({"token": token, "logprob": logprob, "bytes": list(token.encode())})
    return found
