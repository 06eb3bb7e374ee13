"""Reads the variables of a model in CTranslate2's format.

The format is what `ModelSpec.save` of CTranslate2 writes (`python/ctranslate2/specs/model_spec.py`): a header, then the
name, shape, type and bytes of each variable, all little-endian.
"""

import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

VERSIONS: Final = range(4, 7)
"""Binary versions with this layout."""
TYPES: Final = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2", 5: "<u2"}
"""Of each number in the file. NumPy has no bfloat16 (5): its values are the upper halves of those in float32."""


class UnknownFormatError(ValueError):
    """The file has another layout, or ends too early."""


class Variables:
    """The variables of one model file, which stays on disk until they are used."""

    def __init__(self, path: Path) -> None:
        """Raises `UnknownFormatError`."""
        self._position = 0
        self._found: dict[str, NDArray[np.generic]] = {}
        try:
            self._file = np.memmap(path, np.uint8, "r")
            self._read()
        except (struct.error, UnicodeDecodeError, ValueError, KeyError) as error:
            raise UnknownFormatError(f"The file {path} cannot be read as a model of CTranslate2: {error}.") from error

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def number(self, name: str, default: int) -> int:
        """A variable that is one number."""
        return int(self._found[name].item()) if name in self._found else default

    def shape(self, name: str) -> tuple[int, ...]:
        return self._found[name].shape

    def floats(self, name: str, rows: Any = slice(None)) -> NDArray[np.float32]:
        """A variable in float32, or some of its rows, whatever its type in the file. Raises `KeyError`."""
        values = self._found[name][rows] if self._found[name].ndim else self._found[name]
        if values.dtype == np.uint16:
            return (values.astype(np.uint32) << 16).view(np.float32)
        scale = self._found.get(f"{name}_scale")
        if scale is None:
            return values.astype(np.float32)
        scales = scale.astype(np.float32)[rows] if scale.ndim else scale.astype(np.float32)
        scales = scales.reshape(*scales.shape, *[1] * (values.ndim - scales.ndim))
        return np.divide(values, scales, dtype=np.float32)

    def _read(self) -> None:
        version = self._number("I")
        if version not in VERSIONS:
            raise UnknownFormatError(f"its binary version is {version}")
        self._string()
        self._number("I")
        for _ in range(self._number("I")):
            name = self._string()
            shape = [self._number("I") for _ in range(self._number("B"))]
            kind, size = self._number("B"), self._number("I")
            content = self._file[self._position : self._position + size]
            self._found[name] = content.view(TYPES[kind]).reshape(shape)
            self._position += size
        for _ in range(self._number("I")):
            alias, name = self._string(), self._string()
            self._found[alias] = self._found[name]
            if f"{name}_scale" in self._found:
                self._found[f"{alias}_scale"] = self._found[f"{name}_scale"]

    def _number(self, kind: str) -> int:
        size = struct.calcsize(f"<{kind}")
        (value,) = struct.unpack(f"<{kind}", self._file[self._position : self._position + size].tobytes())
        self._position += size
        return int(value)

    def _string(self) -> str:
        """Its length includes a final zero."""
        length = self._number("H")
        content = self._file[self._position : self._position + length - 1].tobytes()
        self._position += length
        return content.decode()
