"""Sessions of ONNX Runtime."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from worker.engines.whisper.onnx_model.graph import WEIGHTS_FILE, Graph, Model
from worker.onnx_networks import load_network

PROBED_WIDTH: Final = 128
PROBED_ROWS: Final = (1, 16)
"""One row and several are multiplied by different kernels."""
TOLERANCE: Final = 0.02


def session(model: Model) -> Any:
    """An `onnxruntime.InferenceSession`, which has no types. It runs on the thread that calls it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.content)
        with path.with_name(WEIGHTS_FILE).open("wb") as file:
            for start, values in model.weights.items():
                file.seek(start)
                file.write(values.data)
        return load_network(str(path))


@cache
def is_exact() -> bool:
    """Whether this processor computes products of 8-bit integers exactly.

    Without instructions for dot products (VNNI), pairs of products may be added in 16 bits, which large values exceed.
    """
    graph = Graph()
    largest = np.ones((PROBED_WIDTH, PROBED_WIDTH), np.float32)
    graph.linear("values", largest, name="sums")
    tall = graph.linear_many_rows(graph.quantized("values"), largest, np.zeros(PROBED_WIDTH, np.float32))
    declared = "rows", PROBED_WIDTH
    multiply = session(graph.serialized({"values": declared}, {"sums": declared, tall: declared}))
    return all(
        np.allclose(
            multiply.run(None, {"values": np.full((rows, PROBED_WIDTH), sign, np.float32)}),
            sign * PROBED_WIDTH,
            rtol=TOLERANCE,
        )
        for rows in PROBED_ROWS
        for sign in (1.0, -1.0)
    )
