"""Products with weights in 8 bits."""

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.engines.whisper.onnx_model.graph import Graph, block_size, in_blocks
from worker.engines.whisper.onnx_model.sessions import session

WIDTHS = [(64, 32), (32, 64), (384, 48), (40, 8)]


@pytest.mark.parametrize(("inputs", "expected"), [(512, 128), (1280, 128), (384, 128), (48, 16), (16, 16), (40, 16)])
def test_the_size_of_blocks(inputs: int, expected: int) -> None:
    assert block_size(inputs) == expected


def test_a_block_of_zeros_stays_zero() -> None:
    integers, scales = in_blocks(np.zeros((2, 16), np.float32), 16)
    assert (integers == 128).all()
    assert (scales == 1).all()


@pytest.mark.parametrize("rows", [1, 3, 40])
@pytest.mark.parametrize(("inputs", "outputs"), WIDTHS)
@pytest.mark.parametrize("is_tall", [False, True])
def test_a_product_is_close_to_that_in_float32(inputs: int, outputs: int, rows: int, is_tall: bool) -> None:
    random = np.random.default_rng(0)
    weight, bias = floats(random, outputs, inputs), floats(random, outputs)
    values = floats(random, rows, inputs) * 10.0 ** random.integers(-2, 3, (rows, 1)).astype(np.float32)
    values[0] = 0
    graph = Graph()
    if is_tall:
        product = graph.linear_many_rows(graph.quantized("values"), weight, bias)
    else:
        product = graph.linear("values", weight, bias)
    compute = session(graph.serialized({"values": ("rows", inputs)}, {product: ("rows", outputs)}))
    [found] = compute.run(None, {"values": values})
    expected = values @ weight.T + bias
    largest = np.abs(values).max(axis=1, keepdims=True) + 1e-6
    assert (np.abs(found - expected) <= 0.02 * largest * np.sqrt(inputs) + 1e-3).all()


def floats(random: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return random.standard_normal(shape).astype(np.float32)
