"""Triton's product with weights of 8 bits gives what PyTorch's gives. It runs in Triton's interpreter here."""

from typing import Any

import pytest
import torch
from structlog.testing import capture_logs
from torch import nn

from worker.engines.voxtral_realtime.attention_choice import choose_products
from worker.engines.voxtral_realtime.weights import EightBitLinear, product

pytest.importorskip("triton", reason="Triton is not installed, so that its kernels cannot be run.")

from worker.engines.voxtral_realtime import weight_product
from worker.engines.voxtral_realtime.weight_product import MAX_ROWS, kernel_product

CPU = torch.device("cpu")


def small(inputs: int, outputs: int, kind: Any, dtype: torch.dtype) -> EightBitLinear:
    linear = nn.Linear(inputs, outputs)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(1)))
    return EightBitLinear.of(linear.to(dtype), kind, CPU)


@pytest.mark.parametrize("kind", ["int8", "fp8"])
@pytest.mark.parametrize(
    ("rows", "inputs", "outputs", "dtype"),
    [((1, 1), 120, 70, torch.float32), ((5, 4), 300, 32, torch.bfloat16), ((MAX_ROWS + 1,), 16, 8, torch.float32)],
)
def test_product_equals_that_of_pytorch(
    kind: Any, rows: tuple[int, ...], inputs: int, outputs: int, dtype: torch.dtype
) -> None:
    layer = small(inputs, outputs, kind, dtype)
    hidden = torch.randn(*rows, inputs, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = product(hidden, layer.weight, layer.scales)
    got = kernel_product(hidden, layer.weight, layer.scales)
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    assert float((got - expected).norm() / expected.norm()) < (1e-6 if dtype == torch.float32 else 0.01)


def broken(*_: Any) -> torch.Tensor:
    raise RuntimeError("no compiler")


def wrong(hidden: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return product(hidden, codes, scales) * 1.1


@pytest.mark.parametrize(
    ("replacement", "reason"),
    [(None, ""), (broken, "it cannot run (no compiler)"), (wrong, "result differs by 0.1")],
)
def test_product_is_taken_where_it_runs_and_is_right(
    replacement: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.Sequential(small(64, 32, "int8", torch.float32), nn.Linear(32, 4))
    assert choose_products("auto", model, CPU) == "torch", "auto takes no kernels on a CPU"
    assert choose_products("torch", model, CPU) == "torch"
    if replacement is not None:
        monkeypatch.setattr(weight_product, "kernel_product", replacement)
    with capture_logs() as logs:
        chosen = choose_products("triton", model, CPU)
    assert chosen == ("torch" if replacement else "triton")
    assert model[0].product is (product if replacement else kernel_product)
    assert reason in logs[-1].get("reason", "")


def test_product_that_cannot_be_defined_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(small(64, 32, "int8", torch.float32))
    monkeypatch.delattr(weight_product, "kernel_product")
    with capture_logs() as logs:
        assert choose_products("triton", model, CPU) == "torch"
    assert model[0].product is product
    assert "it cannot run" in logs[-1]["reason"]


def test_compiled_layers_call_the_kernel_as_one_operation() -> None:
    """The number of rows is dynamic, and the shape of the kernel's tiles depends on it."""
    layer = small(64, 32, "int8", torch.float32)
    layer.product = kernel_product
    graphs = []

    def backend(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    compiled = torch.compile(layer.forward, fullgraph=True, backend=backend)
    with torch.inference_mode():
        for rows in (2, 5):
            hidden = torch.randn(rows, 1, 64)
            torch._dynamo.mark_dynamic(hidden, 0)
            torch.testing.assert_close(compiled(hidden), layer(hidden))
    assert len(graphs) == 1
    torch._dynamo.reset()
