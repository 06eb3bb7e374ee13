"""Simulates a GPU that records passes: keeps the operations of a pass, and repeats them without its Python code.

As with a CUDA graph, a replay reads the same tensors as the recorded pass, in the same shapes, and uses nothing that
Python has computed since. A pass that reads a value on the host cannot be recorded.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

HOST_READS = ("aten::item", "aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal")


class _Recording(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func._schema.name in HOST_READS:
            raise RuntimeError(f"operation not permitted when stream is capturing: {func._schema.name}")
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result


class ReplayRecorder:
    """A `Recorder` on the CPU. The `fails_at`th pass cannot be recorded: it raises `error`."""

    def __init__(self, fails_at: int | None = None, error: Exception | None = None) -> None:
        self._fails_at, self._error = fails_at, error
        self.recorded = 0
        self.replayed = 0

    def record(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        if self.recorded == self._fails_at and self._error is not None:
            raise self._error
        run()
        with _Recording() as recording:
            recorded = run()
        self.recorded += 1

        def replay() -> Tensor:
            self.replayed += 1
            found: dict[int, Any] = {}

            def current(one: Any) -> Any:
                return found.get(id(one), one)

            with torch.inference_mode():
                for func, args, kwargs, result in recording.operations:
                    again = func(*tree_map(current, args), **tree_map(current, kwargs))
                    for before, now in zip(tree_leaves(result), tree_leaves(again), strict=True):
                        found[id(before)] = now
            tokens: Tensor = found[id(recorded)]
            return tokens

        return replay
