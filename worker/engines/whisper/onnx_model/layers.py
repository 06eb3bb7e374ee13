"""Weights and norms of a Whisper model's layers, as the graphs need them."""

from worker.engines.whisper.onnx_model.architecture import Architecture
from worker.engines.whisper.onnx_model.graph import Floats, Graph
from worker.engines.whisper.onnx_model.variables import Variables


class Layers:
    """What the layers of both graphs have in common."""

    def __init__(self, graph: Graph, variables: Variables, size: Architecture) -> None:
        self.graph, self.variables, self.size = graph, variables, size

    def weights(self, name: str, *, scaled_rows: int = 0) -> tuple[Floats, Floats]:
        """Weight and bias. The first rows compute queries, and are scaled as the attention needs them."""
        weight, bias = self.variables.floats(f"{name}/weight"), self.variables.floats(f"{name}/bias")
        scale = self.size.head_width**-0.5
        weight[:scaled_rows] *= scale
        bias[:scaled_rows] *= scale
        return weight, bias

    def norm(self, value: str, layer: str, *, name: str | None = None) -> str:
        norm = f"{layer}/layer_norm"
        return self.graph.layer_norm(
            value, self.variables.floats(f"{norm}/gamma"), self.variables.floats(f"{norm}/beta"), name=name
        )
