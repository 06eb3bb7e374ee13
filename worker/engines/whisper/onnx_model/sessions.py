"""Sessions of ONNX Runtime."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import onnxruntime

from worker.engines.whisper.onnx_model.graph import WEIGHTS_FILE, Graph, Model

PROBED_WIDTH: Final = 128
PROBED_ROWS: Final = (1, 16)
"""One row and several are multiplied by different kernels."""
TOLERANCE: Final = 0.02


def session(model: Model, threads: int = 1) -> Any:
    """An `onnxruntime.InferenceSession`, which has no types. With one thread it runs on the one that calls it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.content)
        with path.with_name(WEIGHTS_FILE).open("wb") as file:
            for start, values in model.weights.items():
                file.seek(start)
                file.write(values.data)
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


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
