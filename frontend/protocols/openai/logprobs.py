"""Log probabilities in OpenAI's form, one token for each word. Pure.

Our engines report a probability for each word and not for each of their own tokens. The tokens joined are the text.
Those that do not time the words report the probabilities with the scores of the final.
"""

from collections.abc import Sequence
from math import log
from typing import Any, Final

from shared.seams import seam
from shared.word_places import spelled_words
from voxtral_client.parts import Word

MIN_CONFIDENCE: Final = 0.0001
"""The smallest confidence above 0 that an event contains; the logarithm needs one."""


def logprobs_of(
    text: str, words: Sequence[Word], word_confidences: Sequence[float] | None, before: str = ""
) -> list[dict[str, Any]]:
    """Of the words of a final; empty if the model reports none. `before` is the text that the final follows."""
    confidences, texts = word_confidences or (), text.split()
    if len(texts) == len(confidences) and all(word.confidence is None for word in words):
        words = [Word(one, 0.0, 0.0, confidence) for one, confidence in zip(texts, confidences, strict=True)]
    return logprobs(text, words, before)


def logprobs(text: str, words: Sequence[Word], before: str = "") -> list[dict[str, Any]]:
    """The words of a final that have a confidence, each with the space before it.

    `before` is the text that the final follows.
    """
    found: list[dict[str, Any]] = []
    for word, token in zip(words, spelled_words(seam(before, text) + text, (word.text for word in words)), strict=True):
        if token and word.confidence is not None:
            logprob = round(log(max(word.confidence, MIN_CONFIDENCE)), 4)
            found.append({"token": token, "logprob": logprob, "bytes": list(token.encode())})
    return found
