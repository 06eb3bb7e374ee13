"""The files of a published checkpoint, written byte by byte: weights as safetensors, and a Tekken vocabulary.

Nothing of transformers takes part, so names, shapes and types are those that were published and not those that the
installed release would write. Weights are random, or all zero and without a block on the disk.
"""

import json
from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

import mistral_common
import numpy as np
from numpy.typing import NDArray

from tests.tiny.vocabulary import SPECIAL_NAMES

Shapes = Mapping[str, tuple[int, ...]]

SPECIAL_TOKENS: Final = 1000
EMBEDDING_SPREAD: Final = 0.02
VALUE_BYTES: Final = 2
"""All weights are in bfloat16."""
POOL: Final = 4_194_301
"""Random numbers that weights are made of. A prime, so that no two rows of a matrix are equal."""
_SHIPPED: Final = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"


def weights_bytes(shapes: Shapes) -> int:
    """What all tensors take."""
    return sum(VALUE_BYTES * prod(shape) for shape in shapes.values())


def write_weights(path: Path, shapes: Shapes, *, sparse: bool = False) -> None:
    """One safetensors file. `sparse`: every weight is 0, and the file takes no room on most file systems."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + VALUE_BYTES * prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
    content = json.dumps(header).encode()
    content += b" " * (-len(content) % 8)
    with path.open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        if sparse:
            file.truncate(file.tell() + end)
            return
        for name, shape in shapes.items():
            _write_tensor(file, name, shape)


def write_tekken(path: Path, size: int, version: str, audio: dict[str, Any]) -> None:
    """A vocabulary of `size` tokens, 1000 special ones among them; `audio` is the section of that name."""
    shipped = _shipped()
    entries = shipped["vocab"][: size - SPECIAL_TOKENS]
    tokenizer = {
        "config": {
            "pattern": shipped["config"]["pattern"],
            "num_vocab_tokens": len(entries),
            "default_vocab_size": size,
            "default_num_special_tokens": SPECIAL_TOKENS,
            "version": version,
        },
        "audio": audio,
        "special_tokens": [
            {"rank": rank, "token_str": SPECIAL_NAMES.get(rank, f"<SPECIAL_{rank}>"), "is_control": True}
            for rank in range(SPECIAL_TOKENS)
        ],
        "vocab": entries,
    }
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2))


def _write_tensor(file: BinaryIO, name: str, shape: tuple[int, ...]) -> None:
    """Norms are 1 and biases 0; matrices keep the size of what they are given."""
    count = prod(shape)
    if name.endswith("norm.weight"):
        file.write(_bfloat16(np.ones(count, np.float32)).tobytes())
    elif name.endswith("bias"):
        file.write(bytes(VALUE_BYTES * count))
    else:
        spread = EMBEDDING_SPREAD if "embed" in name else 1 / prod(shape[1:]) ** 0.5
        pool, first = _pool(spread), len(name) * 4099 % POOL
        while count:
            part = pool[first : first + count]
            file.write(part.tobytes())
            count, first = count - len(part), 0


@cache
def _pool(spread: float) -> NDArray[np.uint16]:
    return _bfloat16(np.random.default_rng(0).standard_normal(POOL, np.float32) * np.float32(spread))


def _bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves of the numbers."""
    return (values.view(np.uint32) >> 16).astype(np.uint16)


@cache
def _shipped() -> dict[str, Any]:
    shipped: dict[str, Any] = json.loads(_SHIPPED.read_text(encoding="utf-8"))
    return shipped
