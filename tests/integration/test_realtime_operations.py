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
from torch.nn.functional import rms_norm, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
from transformers import VoxtralRealtimeConfig, VoxtralRealtimeFeatureExtractor, VoxtralRealtimeForConditionalGeneration

from tests.tiny.vocabulary import EOS, STREAMING_PAD
from worker.engines.voxtral_realtime.mel import LogMel
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.speaking import CHUNK, Sayable

PROMPT = Prompt(1, STREAMING_PAD, 32, 480, hop_samples=160, n_fft=400, mel_frames=8)
CONFIG = VoxtralRealtimeConfig()
"""The shape of the published model."""
LAYERS = CONFIG.audio_config.num_hidden_layers + CONFIG.text_config.num_hidden_layers
PRODUCTS = ("mm", "addmm", "bmm")
ONE_KERNEL = (rms_norm, scaled_dot_product_attention)
"""Functions with a kernel of their own on CUDA; elsewhere they are made of several operations."""
NO_KERNEL = ("prim::device", "_unsafe_view", "alias", "empty", "empty_like", "new_empty")


class _Counting(TorchDispatchMode):
    """Counts what launches a kernel: views do not."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.devices: set[str] = set()
        self.is_counting = True

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        if self.is_counting and not func.is_view and name not in NO_KERNEL:
            self.count[name] += 1
        self.devices |= {
            one.device.type for one in tree_leaves((args, kwargs, result)) if isinstance(one, torch.Tensor)
        }
        return result


class _Whole(TorchFunctionMode):
    """Counts each function of `ONE_KERNEL` once."""

    def __init__(self, counting: _Counting) -> None:
        super().__init__()
        self._counting = counting

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in ONE_KERNEL:
            return func(*args, **(kwargs or {}))
        self._counting.count[func.__name__] += 1
        self._counting.is_counting = False
        result = func(*args, **(kwargs or {}))
        self._counting.is_counting = True
        return result


@pytest.fixture(scope="module")
def counted() -> _Counting:
    """One pass of three sessions in bfloat16."""
    if not hasattr(torch, "fakegpu"):  # once in a process
        _setup_privateuseone_for_python_backend("fakegpu")
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):
        model = VoxtralRealtimeForConditionalGeneration(CONFIG).eval()
    torch.set_default_dtype(previous)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="fakegpu"))
        for part in (model.model.audio_tower, model.model.language_model):
            part.rotary_emb.inv_freq = torch.zeros(part.rotary_emb.inv_freq.shape, device="fakegpu")
        batched = BatchedModel(
            model,
            LogMel(VoxtralRealtimeFeatureExtractor()),
            PROMPT,
            Sayable(STREAMING_PAD, EOS, np.ones(CONFIG.text_config.vocab_size, np.bool_)),
            rows=3,
            text_window=2048,
            attn_implementation="sdpa",
            cuda_graphs=False,
        )
        counting = _Counting()
        with _Whole(counting), counting:
            batched._pass(3, 2048)
    return counting


def test_pass_needs_nothing_of_the_host(counted: _Counting) -> None:
    assert counted.devices == {"fakegpu"}


def test_projections_of_the_same_input_are_one_product(counted: _Counting) -> None:
    """Queries, keys and values; output; gate and up; down. The projector has two, and one is the mel filters.
    The output layer is one on CUDA, and in chunks elsewhere."""
    chunks = CONFIG.text_config.vocab_size // CHUNK
    assert sum(counted.count[name] for name in PRODUCTS) == 4 * LAYERS + 2 + 1 + chunks


def test_pass_launches_fewer_than_1300_kernels(counted: _Counting) -> None:
    assert counted.count["scaled_dot_product_attention"] == LAYERS
    assert counted.count["rms_norm"] == 2 * LAYERS + 2
    assert counted.count.total() < 1300, counted.count


def test_what_the_layers_make_of_the_delay_is_not_computed_again(counted: _Counting) -> None:
    """The convolutions and the projector have the only activations of this kind."""
    assert counted.count["gelu"] == 3


def test_masks_are_made_once_for_all_layers(counted: _Counting) -> None:
    assert counted.count["masked_fill_"] == 2
    assert counted.count["repeat"] == 1
