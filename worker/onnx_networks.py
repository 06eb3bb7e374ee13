"""ONNX networks, which run on the CPU and on the thread that calls them."""

from typing import Any

import onnxruntime


def load_network(model: bytes | str, *, keeps_memory: bool = True) -> Any:
    """An `onnxruntime.InferenceSession`, which has no types, of a model or of the file with this name.

    `keeps_memory`: whether memory of a run is kept for the next one.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = keeps_memory
    options.log_severity_level = 3  # only errors
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
