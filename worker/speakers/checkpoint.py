"""Reads the tensors of a PyTorch file in its older format (before 1.6) without PyTorch, and executes nothing.

The file holds pickles, which may name any function. Only the few names of a plain `state_dict` are allowed; anything
else raises `pickle.UnpicklingError`.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_FLOATS: Final = object()
"""The type of storages of 32-bit floats."""


class _View(NamedTuple):
    """A tensor in a storage that follows the pickles."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(content: bytes, name: str) -> dict[str, NDArray[np.float32]]:
    """The contiguous tensors of 32-bit floats in the dictionary `name` of the file.

    Raises ValueError for a file of another form, and `pickle.UnpicklingError` for one that names anything else.
    """
    stream = io.BytesIO(content)
    if _load(stream) != _MAGIC or _load(stream) != _PROTOCOL or not _load(stream).get("little_endian"):
        raise ValueError("not a file of this format")
    views, storages = _load(stream)[name], _load(stream)
    values = {key: _storage(stream) for key in storages}
    return {key: _array(view, values) for key, view in views.items()}


def _storage(stream: io.BytesIO) -> NDArray[np.float32]:
    count = int.from_bytes(stream.read(8), "little")
    return np.frombuffer(stream.read(4 * count), "<f4", count)


def _array(view: _View, values: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    count = int(np.prod(view.shape, dtype=np.int64))
    if list(view.strides) != [int(np.prod(view.shape[at + 1 :], dtype=np.int64)) for at in range(len(view.shape))]:
        raise ValueError("a tensor is not contiguous")
    return values[view.storage][view.offset : view.offset + count].reshape(view.shape)


def _load(stream: io.BytesIO) -> Any:
    return _Unpickler(stream).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _rebuilt
            case "torch", "FloatStorage":
                return _FLOATS
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, saved: Any) -> str:
        kind, of, key, *_ = saved
        if kind != "storage" or of is not _FLOATS:
            raise pickle.UnpicklingError("only storages of 32-bit floats are allowed")
        return str(key)


def _rebuilt(storage: str, offset: int, shape: Sequence[int], strides: Sequence[int], *_: object) -> _View:
    return _View(storage, offset, tuple(shape), tuple(strides))
