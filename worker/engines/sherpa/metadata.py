"""The metadata of an ONNX file, read without loading its weights. Knows no library and no kind of model.

sherpa-onnx ends the process if a file lacks what it expects, so files are checked first. Only the
outermost level of the protobuf message is read (`ModelProto` in ONNX' `onnx.proto`).
"""

from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

_VARINT, _FIXED_64, _DELIMITED, _FIXED_32 = 0, 1, 2, 5
_GRAPH: Final = 7
_METADATA: Final = 14
"""`metadata_props`: pairs of strings."""
_MAX_METADATA_BYTES: Final = 1 << 24
_MAX_VARINT_BITS: Final = 63


def onnx_metadata(path: Path) -> dict[str, str]:
    """The file's `metadata_props`. Raises ValueError if it is not an ONNX model, and OSError."""
    found: dict[str, str] = {}
    has_graph = False
    size = path.stat().st_size
    with path.open("rb") as file:
        while (tag := _varint(file)) is not None:
            field, wire_type = tag >> 3, tag & 7
            length = _length(file, wire_type)
            if file.tell() + length > size:
                raise ValueError("it is cut off")
            has_graph = has_graph or (field == _GRAPH and wire_type == _DELIMITED)
            if field == _METADATA and wire_type == _DELIMITED and length <= _MAX_METADATA_BYTES:
                key, value = _pair(file.read(length))
                found[key] = value
            else:
                file.seek(length, 1)
    if not has_graph:
        raise ValueError("it has no graph")
    return found


def _length(file: BinaryIO, wire_type: int) -> int:
    """Bytes of the value that follows; a varint is consumed here, so its length is 0."""
    if wire_type == _FIXED_64:
        return 8
    if wire_type == _FIXED_32:
        return 4
    number = _varint(file)
    if number is None or wire_type not in (_VARINT, _DELIMITED):
        raise ValueError("it is not a protobuf message")
    return number if wire_type == _DELIMITED else 0


def _varint(file: BinaryIO) -> int | None:
    """The next number, seven bits a byte, the lowest first; None at the end of the file."""
    number = shift = 0
    while byte := file.read(1):
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number
        shift += 7
        if shift > _MAX_VARINT_BITS:
            raise ValueError("it is not a protobuf message")
    if shift:
        raise ValueError("it is cut off")
    return None


def _pair(entry: bytes) -> tuple[str, str]:
    """The key and the value of a `StringStringEntryProto`."""
    parts = {1: "", 2: ""}
    content = BytesIO(entry)
    while (tag := _varint(content)) is not None:
        text = content.read(_length(content, tag & 7))
        parts[tag >> 3] = text.decode("utf-8", "replace")
    return parts[1], parts[2]
