"""What a Whisper model writes about one window, as a graph: its decoder.

The layers are those of OpenAI's `whisper/model.py`.
"""

from worker.engines.whisper.onnx_model.architecture import Architecture
from worker.engines.whisper.onnx_model.graph import Graph, Model, Shape
from worker.engines.whisper.onnx_model.layers import Layers
from worker.engines.whisper.onnx_model.variables import Variables


def text_graph(variables: Variables, size: Architecture) -> Model:
    """Reads new tokens after old ones.

    Inputs: `embedded` `[texts, new, width]`; `past` `[layers, 2, texts, heads, old, head width]`, the keys and values
    of old tokens; `mask` `[new, old + new]`, added to the scores of the attention between tokens; `rows`, the new
    tokens whose logits are wanted; and `Architecture.memory`, which all texts share.

    Outputs: `logits` `[texts, rows, vocabulary]`, for the token after each; `present`, which is `past` with the new
    tokens; `scores` `[alignment heads, texts × new, positions of the audio]`, of the attention to the audio before its
    softmax.
    """
    graph = Graph()
    layers = _Decoder(graph, variables, size)
    value = "embedded"
    for layer in range(size.layers):
        value = layers.self_attention(value, layer)
        value = layers.audio_attention(value, layer)
        value = layers.feed_forward(value, layer)
    wanted = layers.norm(graph.node("Gather", value, "rows", axis=1), "decoder")
    graph.linear(wanted, variables.floats("decoder/projection/weight"), name="logits")
    graph.node("Concat", *layers.present, axis=0, name="present")
    graph.node("Concat", *layers.scores, axis=0, name="scores")
    past = size.layers, 2, "texts", size.heads
    inputs: dict[str, Shape] = {
        "embedded": ("texts", "new", size.width),
        "past": (*past, "old", size.head_width),
        "mask": ("new", "all"),
        "rows": ("rows",),
        **size.memory,
    }
    outputs: dict[str, Shape] = {
        "logits": ("texts", "rows", size.vocabulary),
        "present": (*past, "all", size.head_width),
        "scores": (len(layers.scores), "all new", "audio"),
    }
    return graph.serialized(inputs, outputs, integers=("rows",))


class _Decoder(Layers):
    """The three parts of each layer; each adds to the value that it gets."""

    def __init__(self, graph: Graph, variables: Variables, size: Architecture) -> None:
        super().__init__(graph, variables, size)
        self.present: list[str] = []
        """Keys and values of each layer, old and new."""
        self.scores: list[str] = []

    def self_attention(self, value: str, layer: int) -> str:
        graph, size, name = self.graph, self.size, f"decoder/layer_{layer}/self_attention"
        weight, bias = self.weights(f"{name}/linear_0", scaled_rows=size.width)
        parts = graph.linear(self.norm(value, name), weight, bias)
        parts = graph.node("Reshape", parts, graph.integers(0, 0, 3, size.heads, size.head_width))
        parts = graph.node("Transpose", parts, perm=[2, 0, 3, 1, 4])
        new = graph.node("Slice", parts, graph.integers(1), graph.integers(3))
        present = graph.node("Concat", graph.part("past", layer), new, axis=3)
        self.present.append(graph.node("Unsqueeze", present, graph.integers(0)))
        keys = graph.node("Transpose", graph.part(present, 0), perm=[0, 1, 3, 2])
        scores = graph.node("Add", graph.node("MatMul", graph.part(parts, 0), keys), "mask")
        found = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), graph.part(present, 1))
        found = graph.node("Transpose", found, perm=[0, 2, 1, 3])
        joined = graph.node("Reshape", found, graph.node("Shape", value))
        return self._added(value, joined, f"{name}/linear_1")

    def audio_attention(self, value: str, layer: int) -> str:
        graph, size, name = self.graph, self.size, f"decoder/layer_{layer}/attention"
        weight, bias = self.weights(f"{name}/linear_0", scaled_rows=size.width)
        queries = graph.linear(self.norm(value, name), weight, bias)
        queries = graph.node("Reshape", queries, graph.integers(-1, size.heads, size.head_width))
        queries = graph.node("Transpose", queries, perm=[1, 0, 2])
        scores = graph.node("MatMul", queries, f"keys_{layer}")
        for head in [head for at, head in size.alignment_heads if at == layer]:
            self.scores.append(graph.node("Gather", scores, graph.integers(head), axis=0))
        heard = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), f"values_{layer}")
        joined = graph.node("Reshape", graph.node("Transpose", heard, perm=[1, 0, 2]), graph.node("Shape", value))
        return self._added(value, joined, f"{name}/linear_2")

    def feed_forward(self, value: str, layer: int) -> str:
        name = f"decoder/layer_{layer}/ffn"
        inner = self.graph.linear(self.norm(value, name), *self.weights(f"{name}/linear_0"))
        return self._added(value, self.graph.node("Gelu", inner), f"{name}/linear_1")

    def _added(self, value: str, result: str, name: str) -> str:
        return self.graph.node("Add", value, self.graph.linear(result, *self.weights(name)))
