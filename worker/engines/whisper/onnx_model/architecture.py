"""The size of a Whisper model; variables have CTranslate2's names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from worker.engines.whisper.onnx_model.graph import Shape
from worker.engines.whisper.onnx_model.variables import Variables

DEFAULT_HEADS: Final = 8
"""CTranslate2's, for a file that does not name the number."""


@dataclass(frozen=True, slots=True)
class Architecture:
    mels: int
    encoder_layers: int
    layers: int
    """Of the decoder."""
    heads: int
    width: int
    vocabulary: int
    positions: int
    """The most tokens of a prompt and its answer together."""
    alignment_heads: tuple[tuple[int, int], ...]
    """Layer and head of each that follows the audio."""

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def memory(self) -> dict[str, Shape]:
        """What the decoder's layers attend to: the values that one graph computes and the other one reads."""
        keys: Shape = self.heads, self.head_width, "audio"
        values: Shape = self.heads, "audio", self.head_width
        shapes = {"keys": keys, "values": values}
        return {f"{part}_{layer}": shape for layer in range(self.layers) for part, shape in shapes.items()}


def architecture(variables: Variables, alignment_heads: Sequence[Sequence[int]]) -> Architecture:
    """Raises `KeyError` if a variable is missing."""
    vocabulary, width = variables.shape("decoder/embeddings/weight")
    return Architecture(
        mels=variables.shape("encoder/conv1/weight")[1],
        encoder_layers=_layers(variables, "encoder"),
        layers=_layers(variables, "decoder"),
        heads=variables.number("decoder/num_heads", DEFAULT_HEADS),
        width=width,
        vocabulary=vocabulary,
        positions=variables.shape("decoder/position_encodings/encodings")[0],
        alignment_heads=tuple((layer, head) for layer, head in alignment_heads),
    )


def _layers(variables: Variables, stack: str) -> int:
    count = 0
    while f"{stack}/layer_{count}/ffn/linear_0/weight" in variables:
        count += 1
    return count
