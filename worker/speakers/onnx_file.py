"""Writes a small network as an ONNX file, for ONNX Runtime: only what the speaker encoder needs. Pure.

The numbers are the fields of `onnx.proto3` (ONNX 1.9, operator set 14). The package `onnx` is not needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_IR_VERSION: Final = 8
_OPERATOR_SET: Final = 14
_ELEMENT_TYPES: Final = {np.dtype(np.float32): 1, np.dtype(np.int64): 7}
_INT_ATTRIBUTE: Final = 2
_VARINT, _BYTES = 0, 2
"""Wire types of Protocol Buffers."""


@dataclass(frozen=True, slots=True)
class Node:
    operator: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    integers: Mapping[str, int]
    """Its attributes."""


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of 32-bit floats; names are lengths that vary."""

    name: str
    shape: Sequence[str | int]


def onnx_file(
    nodes: Sequence[Node], weights: Mapping[str, NDArray[Any]], inputs: Sequence[Value], outputs: Sequence[Value]
) -> bytes:
    """The bytes of a `ModelProto`."""
    graph = b"".join(
        [
            *(_field(1, _node(node)) for node in nodes),
            _field(2, b"graph"),
            *(_field(5, _tensor(name, values)) for name, values in weights.items()),
            *(_field(11, _value(value)) for value in inputs),
            *(_field(12, _value(value)) for value in outputs),
        ]
    )
    operators = _field(1, b"") + _field(2, _OPERATOR_SET)
    return _field(1, _IR_VERSION) + _field(7, graph) + _field(8, operators)


def _node(node: Node) -> bytes:
    attributes = [
        _field(1, name.encode()) + _field(3, value) + _field(20, _INT_ATTRIBUTE)
        for name, value in node.integers.items()
    ]
    return b"".join(
        [
            *(_field(1, name.encode()) for name in node.inputs),
            *(_field(2, name.encode()) for name in node.outputs),
            _field(4, node.operator.encode()),
            *(_field(5, attribute) for attribute in attributes),
        ]
    )


def _tensor(name: str, values: NDArray[Any]) -> bytes:
    dims = b"".join(_field(1, length) for length in values.shape)
    little_endian = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    kind = _field(2, _ELEMENT_TYPES[values.dtype])
    return dims + kind + _field(8, name.encode()) + _field(9, little_endian.tobytes())


def _value(value: Value) -> bytes:
    dims = [_field(1, one) if isinstance(one, int) else _field(2, one.encode()) for one in value.shape]
    shape = b"".join(_field(1, dim) for dim in dims)
    tensor = _field(1, _ELEMENT_TYPES[np.dtype(np.float32)]) + _field(2, shape)
    return _field(1, value.name.encode()) + _field(2, _field(1, tensor))


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
