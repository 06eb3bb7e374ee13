"""Whisper models with random weights in CTranslate2's format, of any shape, built in a moment.

The tokenizer is the embedded model's, cut or extended to what English-only and large-v3 checkpoints have.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ctranslate2
import numpy as np
from ctranslate2.specs import WhisperSpec
from numpy.typing import NDArray

from tests.cache import copied
from worker.engines.whisper.weights import embedded_files

MULTILINGUAL_TOKENS: Final = 51_865
ENCODER_POSITIONS: Final = 1500
DECODER_POSITIONS: Final = 448
END: Final = "<|endoftext|>"
CANTONESE: Final = "<|yue|>"
"""The language that large-v3 added; its token follows that of the last other one."""
LAST_LANGUAGE: Final = "<|su|>"


@dataclass(frozen=True, slots=True)
class Shape:
    width: int = 16
    heads: int = 2
    encoder_layers: int = 1
    decoder_layers: int = 2
    mels: int = 80
    vocabulary: int = MULTILINGUAL_TOKENS
    """51,864: English alone; 51,865: languages up to large-v2; 51,866: those of large-v3."""


MULTILINGUAL: Final = Shape()
ENGLISH: Final = Shape(vocabulary=MULTILINGUAL_TOKENS - 1)
LARGE_V3: Final = Shape(mels=128, vocabulary=MULTILINGUAL_TOKENS + 1)
PUBLISHED: Final = {
    "whisper-large-v3-turbo": Shape(1280, 20, 32, 4, 128, MULTILINGUAL_TOKENS + 1),
    "whisper-large-v3": Shape(1280, 20, 32, 32, 128, MULTILINGUAL_TOKENS + 1),
}
"""As published by OpenAI; 1.6 and 3.1 GB in float16."""


class Weights:
    """Random numbers for every tensor of a spec. Drawn once and cut from there, since 800 million take long.

    What is larger than the drawn numbers repeats them, each from another place: CTranslate2 stores equal weights once.
    """

    def __init__(self, dtype: type[np.floating[Any]]) -> None:
        self._random = np.random.default_rng(0)
        self._pool = (0.02 * self._random.standard_normal(1 << 22)).astype(dtype)
        self._dtype = dtype

    def of(self, *shape: int) -> NDArray[Any]:
        size = int(np.prod(shape))
        start = int(self._random.integers(len(self._pool) - size if size < len(self._pool) else len(self._pool)))
        return np.resize(self._pool[start:], size).reshape(shape)

    def linear(self, spec: Any, outputs: int, inputs: int) -> None:
        spec.weight, spec.bias = self.of(outputs, inputs), self.of(outputs)

    def norm(self, spec: Any, width: int) -> None:
        spec.gamma, spec.beta = np.ones(width, self._dtype), np.zeros(width, self._dtype)

    def attention(self, spec: Any, width: int, *projections: int) -> None:
        self.norm(spec.layer_norm, width)
        for linear, multiple in zip(spec.linear, projections, strict=True):
            self.linear(linear, multiple * width, width)

    def feed_forward(self, spec: Any, width: int) -> None:
        self.norm(spec.layer_norm, width)
        self.linear(spec.linear_0, 4 * width, width)
        self.linear(spec.linear_1, width, 4 * width)


def write_whisper(directory: Path, shape: Shape = MULTILINGUAL, **details: Any) -> Path:
    """The same as `build_whisper` makes, for small shapes: built once, and then copied."""
    content = Path(__file__).read_bytes() + _tokenizer_path().read_bytes()
    key = hashlib.sha256(content + repr((ctranslate2.__version__, shape, sorted(details.items()))).encode())
    copied(f"whisper-{key.hexdigest()[:24]}", lambda folder: build_whisper(folder, shape, **details), directory)
    return directory


def build_whisper(
    directory: Path,
    shape: Shape,
    *,
    alignment_heads: bool = True,
    half: bool = False,
    only_text: bool = False,
    quantization: str | None = None,
) -> Path:
    """A model that `WhisperDecoder` loads; it says random words.

    `half`: weights in float16, else in float32, or as `quantization` of CTranslate2's converters says.
    `only_text`: it says no special tokens. Random time stamps end its text early, and nothing else does.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(shape.vocabulary)
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    spec = _spec(shape, Weights(np.float16 if half else np.float32))
    tokens = _tokens(tokenizer)
    spec.register_vocabulary(tokens)
    names = {token: index for index, token in enumerate(tokens)}
    if shape.vocabulary >= MULTILINGUAL_TOKENS:
        spec.config.lang_ids = [*range(names["<|en|>"], names["<|translate|>"])]
    spec.config.suppress_ids = [index for token, index in names.items() if only_text and token.startswith("<|")]
    spec.config.suppress_ids_begin = [names[END]]
    spec.config.alignment_heads = [(shape.decoder_layers - 1, 0)] if alignment_heads else None
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(directory))
    return directory


def _spec(shape: Shape, weights: Weights) -> WhisperSpec:
    spec = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    width, encoder, decoder = shape.width, spec.encoder, spec.decoder
    for convolution, channels in ((encoder.conv1, shape.mels), (encoder.conv2, width)):
        convolution.weight, convolution.bias = weights.of(width, channels, 3), weights.of(width)
    encoder.position_encodings.encodings = weights.of(ENCODER_POSITIONS, width)
    decoder.position_encodings.encodings = weights.of(DECODER_POSITIONS, width)
    for layer in encoder.layer:
        weights.attention(layer.self_attention, width, 3, 1)
        weights.feed_forward(layer.ffn, width)
    for layer in decoder.layer:
        weights.attention(layer.self_attention, width, 3, 1)
        weights.attention(layer.attention, width, 1, 2, 1)
        weights.feed_forward(layer.ffn, width)
    weights.norm(encoder.layer_norm, width)
    weights.norm(decoder.layer_norm, width)
    decoder.embeddings.weight = weights.of(shape.vocabulary, width)
    decoder.projection.weight = decoder.embeddings.weight
    return spec


def _tokenizer_path() -> Path:
    [path] = (file.parts[0] for file in embedded_files() if file.name == "tokenizer.json")
    return path


def _tokenizer(vocabulary: int) -> dict[str, Any]:
    """The embedded tokenizer.json with one token less or more before the others that are added to its words."""
    tokenizer: dict[str, Any] = json.loads(_tokenizer_path().read_text())
    added, words = tokenizer["added_tokens"], tokenizer["model"]["vocab"]
    if vocabulary < MULTILINGUAL_TOKENS:
        del words[max(words, key=words.get)]
    elif vocabulary > MULTILINGUAL_TOKENS:
        last = next(index for index, token in enumerate(added) if token["content"] == LAST_LANGUAGE)
        added.insert(last + 1, added[last] | {"content": CANTONESE})
    for index, token in enumerate(added):
        token["id"] = len(words) + index
    return tokenizer


def _tokens(tokenizer: dict[str, Any]) -> list[str]:
    words: dict[str, int] = tokenizer["model"]["vocab"]
    return [*sorted(words, key=words.__getitem__), *(token["content"] for token in tokenizer["added_tokens"])]
