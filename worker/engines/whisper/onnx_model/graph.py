"""Builds graphs for ONNX Runtime, a node at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 21
CONTRIB_DOMAIN: Final = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""
IR_VERSION: Final = 10
LARGEST_BLOCK: Final = 128
SMALLEST_BLOCK: Final = 16
"""Sizes of the blocks of a weight's row that share a scale."""
ZERO_POINT: Final = 128
LARGEST_INTEGER: Final = 127
ROWS_AT_ONCE: Final = 4096
"""Rows of a weight that are quantized together: an embedding has many, and memory is needed for copies of them."""
SMALLEST_SCALE: Final = 1e-6
"""For a row of zeros."""
LAYER_NORM_EPSILON: Final = 1e-5
ACCURACY_LEVEL_INT8: Final = 4
"""MatMulNBits's `accuracy_level` that multiplies integers; values are quantized like weights, row by row."""
LARGE_BYTES: Final = 4096
"""Constants of this size and more are not part of the model, but lie in a file beside it: protobuf would copy them
several times."""
WEIGHTS_FILE: Final = "weights"
ALIGNMENT_BYTES: Final = 64

Shape = Sequence[int | str]
Floats = NDArray[np.float32]


class Model(NamedTuple):
    """A graph for ONNX Runtime."""

    content: bytes
    """Serialized, without the large constants."""
    weights: dict[int, NDArray[Any]]
    """The content of `WEIGHTS_FILE`: the large constants by their positions in bytes."""


class Graph:
    """Nodes and constants; values are known by their names."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._weights: dict[int, NDArray[Any]] = {}
        self._weights_bytes = 0

    def constant(self, values: Any) -> str:
        """The caller does not change `values` afterwards."""
        name = f"constant_{len(self._constants)}"
        array = np.asarray(values, order="C")
        is_large = array.nbytes >= LARGE_BYTES
        self._constants.append(self._placed(array, name) if is_large else numpy_helper.from_array(array, name))
        return name

    def _placed(self, array: NDArray[Any], name: str) -> onnx.TensorProto:
        start = -(-self._weights_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        self._weights[start], self._weights_bytes = array, start + array.nbytes
        tensor = TensorProto(
            name=name,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            dims=array.shape,
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in (("location", WEIGHTS_FILE), ("offset", start), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def node(self, operator: str, *inputs: str, domain: str = "", name: str | None = None, **attributes: Any) -> str:
        """The name of the node's output: `name`, or one of its own."""
        output = name or f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def part(self, value: str, index: int, axis: int = 0) -> str:
        """One index of an axis, which is removed."""
        return self.node("Gather", value, self.constant(np.int64(index)), axis=axis)

    def layer_norm(self, value: str, scale: Floats, shift: Floats, *, name: str | None = None) -> str:
        constants = self.constant(scale), self.constant(shift)
        return self.node("LayerNormalization", value, *constants, name=name, axis=-1, epsilon=LAYER_NORM_EPSILON)

    def linear(self, value: str, weight: Floats, bias: Floats | None = None, *, name: str | None = None) -> str:
        """The product with a weight `[outputs, inputs]` in 8 bits; each block of a row has its own scale.

        This is the fastest way for few rows of `value`.
        """
        outputs, inputs = weight.shape
        size = block_size(inputs)
        quantized, scales = in_blocks(weight, size)
        operands = [value, self.constant(quantized), self.constant(scales.reshape(-1))]
        if bias is not None:
            operands += ["", "", self.constant(bias)]
        return self.node(
            "MatMulNBits",
            *operands,
            domain=CONTRIB_DOMAIN,
            name=name,
            K=inputs,
            N=outputs,
            bits=8,
            block_size=size,
            accuracy_level=ACCURACY_LEVEL_INT8,
        )

    def quantized(self, value: str) -> tuple[str, str]:
        """The rows of a value in 8 bits, and the scale of each row: for `linear_many_rows`."""
        largest = self.node("ReduceMax", self.node("Abs", value), self.integers(-1), keepdims=0)
        largest = self.node("Max", largest, self.constant(np.float32(SMALLEST_SCALE)))
        scales = self.node("Div", largest, self.constant(np.float32(LARGEST_INTEGER)))
        zero_points = self.node("Expand", self.constant(np.array([ZERO_POINT], np.uint8)), self.node("Shape", scales))
        integers = self.node("QuantizeLinear", value, scales, zero_points, axis=0)
        return integers, self.node("Unsqueeze", scales, self.integers(-1))

    def linear_many_rows(self, quantized: tuple[str, str], weight: Floats, bias: Floats) -> str:
        """The same as `linear` for a value `[rows, inputs]` with many rows; each row of the weight has one scale."""
        integers, scales = quantized
        weights, weight_scales = in_blocks(weight, weight.shape[1])
        signed = (weights[:, 0].astype(np.int16) - ZERO_POINT).astype(np.int8)
        operands = self.constant(signed.T), self.constant(np.float32(1)), self.constant(weight_scales[:, 0])
        zero_point = self.constant(np.uint8(ZERO_POINT))
        sums = self.node("MatMulIntegerToFloat", integers, *operands, zero_point, domain=CONTRIB_DOMAIN)
        return self.node("Add", self.node("Mul", sums, scales), self.constant(bias))

    def serialized(
        self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], integers: Sequence[str] = ()
    ) -> Model:
        """The model. Inputs and outputs are float32, except `integers`."""

        def declared(values: Mapping[str, Shape]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(
                    name, TensorProto.INT64 if name in integers else TensorProto.FLOAT, list(shape)
                )
                for name, shape in values.items()
            ]

        graph = helper.make_graph(self._nodes, "whisper", declared(inputs), declared(outputs), self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB_DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return Model(model.SerializeToString(), self._weights)


def block_size(inputs: int) -> int:
    """The largest allowed block that divides a row, or else the smallest, which zeros fill."""
    size = LARGEST_BLOCK
    while size > SMALLEST_BLOCK and inputs % size:
        size //= 2
    return size


def in_blocks(weight: Floats, size: int) -> tuple[NDArray[np.uint8], Floats]:
    """A weight as `[outputs, blocks, size]` in 8 bits, and a scale for each block."""
    outputs, inputs = weight.shape
    blocks = -(-inputs // size)
    missing = blocks * size - inputs
    padded = (np.pad(weight, ((0, 0), (0, missing))) if missing else weight).reshape(outputs, blocks, size)
    scales = np.maximum(padded.max(axis=-1), -padded.min(axis=-1)) / LARGEST_INTEGER
    scales[scales == 0] = 1
    integers = np.empty(padded.shape, np.uint8)
    for row in range(0, outputs, ROWS_AT_ONCE):
        part = slice(row, row + ROWS_AT_ONCE)
        integers[part] = np.rint(padded[part] / scales[part, :, None]) + ZERO_POINT
    return integers, scales
