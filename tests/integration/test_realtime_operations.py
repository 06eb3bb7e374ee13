"""What a pass of Voxtral Realtime asks of a GPU: how many operations, each launched for itself; nothing of the host.

The GPU is a fake one: its tensors have shapes and no values. Whatever needs a value on the host, a tensor of the CPU,
or a shape that depends on values fails there, as it would while a pass is recorded as a CUDA graph.
"""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
from transformers import VoxtralRealtimeFeatureExtractor, VoxtralRealtimeForConditionalGeneration

from tests.tiny.checkpoint import tiny_config
from tests.tiny.vocabulary import EOS, STREAMING_PAD, VOCABULARY_SIZE
from worker.engines.voxtral_realtime.mel import LogMel
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.speaking import Sayable

PROMPT = Prompt(1, STREAMING_PAD, 32, 480, hop_samples=160, n_fft=400, mel_frames=8)
LAYERS = 2 + 2
PRODUCTS = ("mm", "addmm", "bmm")


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.devices: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.count[func._schema.name.removeprefix("aten::")] += 1
        self.devices |= {
            one.device.type for one in tree_leaves((args, kwargs, result)) if isinstance(one, torch.Tensor)
        }
        return result


@pytest.fixture(scope="module")
def counted() -> _Counting:
    """One pass of three sessions in bfloat16."""
    if not hasattr(torch, "fakegpu"):  # once in a process
        _setup_privateuseone_for_python_backend("fakegpu")
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):
        model = VoxtralRealtimeForConditionalGeneration(tiny_config()).eval()
    torch.set_default_dtype(previous)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="fakegpu"))
        for part in (model.model.audio_tower, model.model.language_model):
            part.rotary_emb.inv_freq = torch.zeros(part.rotary_emb.inv_freq.shape, device="fakegpu")
        batched = BatchedModel(
            model,
            LogMel(VoxtralRealtimeFeatureExtractor()),
            PROMPT,
            Sayable(STREAMING_PAD, EOS, np.ones(VOCABULARY_SIZE, np.bool_)),
            rows=3,
            text_window=128,
            attn_implementation="sdpa",
            cuda_graphs=False,
        )
        counting = _Counting()
        with counting:
            batched._pass(3, 128)
    return counting


def test_pass_needs_nothing_of_the_host(counted: _Counting) -> None:
    assert counted.devices == {"fakegpu"}


def test_projections_of_the_same_input_are_one_product(counted: _Counting) -> None:
    """Queries, keys and values; output; gate and up; down; two of attention. The projector has two, and one is the mel
    filters, one the output layer."""
    assert sum(counted.count[name] for name in PRODUCTS) == (4 + 2) * LAYERS + 2 + 1 + 1


def test_what_the_layers_make_of_the_delay_is_not_computed_again(counted: _Counting) -> None:
    """The convolutions and the projector have the only activations of this kind."""
    assert counted.count["gelu"] == 3


def test_masks_are_made_once_for_all_layers(counted: _Counting) -> None:
    assert counted.count["masked_fill_"] == 2
    assert counted.count["repeat"] == 1
