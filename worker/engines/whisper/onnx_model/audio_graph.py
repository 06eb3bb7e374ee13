"""What a Whisper model hears of one window, as a graph: its encoder, and the first step of its decoder's layers.

The layers are those of OpenAI's `whisper/model.py`.
"""

from worker.engines.whisper.onnx_model.architecture import Architecture
from worker.engines.whisper.onnx_model.graph import CONTRIB_DOMAIN, Graph, Model, Shape
from worker.engines.whisper.onnx_model.layers import Layers
from worker.engines.whisper.onnx_model.variables import Variables


def audio_graph(variables: Variables, size: Architecture) -> Model:
    """Input: `spectrogram` `[1, mels, frames]`. Outputs: `encoded` `[frames / 2, width]`, and `Architecture.memory`."""
    encoder = _Encoder(Graph(), variables, size)
    value = encoder.convolved("spectrogram")
    for layer in range(size.encoder_layers):
        value = encoder.self_attention(value, f"encoder/layer_{layer}/self_attention")
        value = encoder.feed_forward(value, f"encoder/layer_{layer}/ffn")
    encoder.cross_attention_memory(encoder.norm(value, "encoder", name="encoded"))
    outputs: dict[str, Shape] = {"encoded": ("audio", size.width), **size.memory}
    return encoder.graph.serialized({"spectrogram": (1, size.mels, "frames")}, outputs)


class _Encoder(Layers):
    def convolved(self, value: str) -> str:
        """`[frames / 2, width]`, with places."""
        graph = self.graph
        for name, stride in (("encoder/conv1", 1), ("encoder/conv2", 2)):
            weights = [graph.constant(values) for values in self.weights(name)]
            value = graph.node("Conv", value, *weights, kernel_shape=[3], pads=[1, 1], strides=[stride])
            value = graph.node("Gelu", value)
        value = graph.node("Transpose", graph.part(value, 0), perm=[1, 0])
        places = graph.constant(self.variables.floats("encoder/position_encodings/encodings"))
        length = graph.node("Shape", value, start=0, end=1)
        return graph.node("Add", value, graph.node("Slice", places, graph.integers(0), length))

    def self_attention(self, value: str, name: str) -> str:
        graph, width = self.graph, self.size.width
        both = graph.linear_many_rows(graph.quantized(self.norm(value, name)), *self.weights(f"{name}/linear_0"))
        both = graph.node("Unsqueeze", both, graph.integers(0))
        ends = [(part * width, (part + 1) * width) for part in range(3)]
        parts = [graph.node("Slice", both, graph.integers(a), graph.integers(b), graph.integers(2)) for a, b in ends]
        heard = graph.node("MultiHeadAttention", *parts, domain=CONTRIB_DOMAIN, num_heads=self.size.heads)
        quantized = graph.quantized(graph.part(heard, 0))
        return graph.node("Add", value, graph.linear_many_rows(quantized, *self.weights(f"{name}/linear_1")))

    def feed_forward(self, value: str, name: str) -> str:
        graph = self.graph
        inner = graph.linear_many_rows(graph.quantized(self.norm(value, name)), *self.weights(f"{name}/linear_0"))
        activated = graph.quantized(graph.node("Gelu", inner))
        return graph.node("Add", value, graph.linear_many_rows(activated, *self.weights(f"{name}/linear_1")))

    def cross_attention_memory(self, encoded: str) -> None:
        """Keys and values of each of the decoder's layers."""
        graph, size = self.graph, self.size
        quantized = graph.quantized(encoded)
        for layer in range(size.layers):
            both = graph.linear_many_rows(quantized, *self.weights(f"decoder/layer_{layer}/attention/linear_1"))
            both = graph.node("Reshape", both, graph.integers(0, 2, size.heads, size.head_width))
            graph.node("Transpose", graph.part(both, 0, axis=1), perm=[1, 2, 0], name=f"keys_{layer}")
            graph.node("Transpose", graph.part(both, 1, axis=1), perm=[1, 0, 2], name=f"values_{layer}")
