"""How many operations a pass of Voxtral Realtime takes: on a GPU each is launched for itself.

Counted on a CPU, with the tiny checkpoint: two layers of encoder, two of the language model.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from shared.config import Settings
from tests.tiny.checkpoint import DIRECTORY
from worker.engines.registry import REALTIME, load_engine

LAYERS = 2 + 2


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Callable[..., Any]:
        self.count[func._schema.name.removeprefix("aten::")] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def counted() -> Counter[str]:
    threads = torch.get_num_threads()
    model = {"name": REALTIME, "path": DIRECTORY, "device": "cpu", "threads": 1, "slots": 2}
    engine: Any = load_engine(Settings(model=model))  # type: ignore[arg-type]
    with torch.inference_mode(), _Counting() as counting:
        engine._model._pass(2, 128)
    torch.set_num_threads(threads)
    return counting.count


def test_projections_of_the_same_input_are_one_product(counted: Counter[str]) -> None:
    """Queries, keys and values; output; gate and up; down. Beside the layers, the projector has two."""
    assert counted["linear"] == 4 * LAYERS + 2


def test_what_the_layers_make_of_the_delay_is_not_computed_again(counted: Counter[str]) -> None:
    """The convolutions and the projector have the only activations of this kind."""
    assert counted["gelu"] == 3


def test_masks_are_made_once_for_all_layers(counted: Counter[str]) -> None:
    assert counted["masked_fill_"] == 2
    assert counted["repeat"] == 1


def test_pass_never_waits_for_the_device(counted: Counter[str]) -> None:
    assert not {"_local_scalar_dense", "item", "nonzero", "is_nonzero"} & set(counted)
