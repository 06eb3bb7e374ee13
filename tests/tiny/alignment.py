"""Which token stands at which position: what the tiny checkpoint is trained to say, and how to read what it said.

A session's position i hears the samples (i − left pad) · 1280 to (i + 1 − left pad) · 1280 of its audio. The prompt is
BOS and left pad + delay streaming pads; the generated token g, counted from 0, is what position left pad + delay + g
says. A word whose last sample is in frame e has its marker at g = e and its text from g = e + 1 on; all else is pads.
So a session says a word `delay` frames after its sound.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from tests.tiny.scenes import Word
from tests.tiny.vocabulary import BOS, LEFT_PAD_TOKENS, STREAMING_PAD, STREAMING_WORD, write_tokenizer

FRAME_SAMPLES = 1280
FRAME_MS = 80
DRAIN_TOKENS = 11  # silence after the audio and the delay: one position for BOS and ten for a long word


def prompt(delay_tokens: int, left_pad_tokens: int = LEFT_PAD_TOKENS) -> list[int]:
    """What a session starts with."""
    return [BOS] + [STREAMING_PAD] * (left_pad_tokens + delay_tokens)


def targets(words: Sequence[Word], tokens: int) -> list[int]:
    """The first so many generated tokens. A word that would run into the one before it comes right after it."""
    said = [STREAMING_PAD] * tokens
    free = 0
    for word in words:
        piece = [STREAMING_WORD, *spelling(word.text)]
        first = max(free, (word.end_samples - 1) // FRAME_SAMPLES)
        piece = piece[: max(0, tokens - first)]
        said[first : first + len(piece)] = piece
        free = first + len(piece)
    return said


def heard(tokens: Sequence[int]) -> list[tuple[str, int]]:
    """The words in generated tokens, each with its marker's g. Text without a marker has the g of its first token."""
    words: list[tuple[list[int], int]] = []
    is_open = False
    for g, token in enumerate(tokens):
        if token == STREAMING_WORD or (token != STREAMING_PAD and not is_open):
            words.append(([], g))
        if token not in (STREAMING_WORD, STREAMING_PAD):
            words[-1][0].append(token)
        is_open = token != STREAMING_PAD
    return [(_tokenizer().decode(pieces).strip(), g) for pieces, g in words]


@cache
def spelling(word: str) -> tuple[int, ...]:
    """A word's text tokens, with the space before it."""
    return tuple(_tokenizer().encode(f" {word}", bos=False, eos=False))


@cache
def _tokenizer() -> Any:
    with TemporaryDirectory() as directory:
        return MistralTokenizer.from_file(write_tokenizer(Path(directory))).instruct_tokenizer.tokenizer
