"""A GPU without values: its tensors have shapes but no data, so a model of any size takes no memory.

Code that needs a value on the host, a tensor of the CPU, or a shape that depends on values fails there or is listed, as
it would fail while a pass is recorded as a CUDA graph. Branches that check for CUDA itself are not taken.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
from transformers import VoxtralRealtimeConfig, VoxtralRealtimeFeatureExtractor, VoxtralRealtimeForConditionalGeneration

from tests.tiny.vocabulary import EOS, STREAMING_PAD
from worker.engines.voxtral_realtime.mel import LogMel
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.speaking import Sayable

DEVICE: Final = "fakegpu"
ONE_KERNEL: Final = (torch.nn.functional.rms_norm, torch.nn.functional.scaled_dot_product_attention)
"""They have a kernel on CUDA."""
NO_KERNEL: Final = ("prim::device", "_unsafe_view", "alias", "empty", "empty_like", "new_empty", "lift_fresh")
"""They launch no kernel, like views."""
PROMPT: Final = Prompt(1, STREAMING_PAD, 32, 480, hop_samples=160, n_fft=400, mel_frames=8)


class Counting(TorchDispatchMode):
    """Counts the kernels that run under it, by the operation, and lists the devices of all tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.devices: set[str] = set()
        self._is_within = False
        """A function of `ONE_KERNEL`, which is made of several operations on this device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        if not (self._is_within or func.is_view or name in NO_KERNEL):
            self.kernels[name] += 1
        self.devices |= {
            one.device.type for one in tree_leaves((args, kwargs, result)) if isinstance(one, torch.Tensor)
        }
        return result

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Count, and each function of `ONE_KERNEL` as one."""
        with self, _Whole(self):
            yield

    def once(self, name: str, run: Callable[[], Any]) -> Any:
        """Count a function as one kernel."""
        self.kernels[name] += 1
        self._is_within = True
        try:
            return run()
        finally:
            self._is_within = False


class _Whole(TorchFunctionMode):
    def __init__(self, counting: Counting) -> None:
        super().__init__()
        self._counting = counting

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in ONE_KERNEL:
            return func(*args, **(kwargs or {}))
        return self._counting.once(func.__name__, lambda: func(*args, **(kwargs or {})))


@contextmanager
def fake_device() -> Iterator[None]:
    """Tensors that are made on `DEVICE` here have no values."""
    if not hasattr(torch, DEVICE):  # once in a process
        _setup_privateuseone_for_python_backend(DEVICE)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        yield


def batched_model(config: VoxtralRealtimeConfig, *, rows: int, text_window: int) -> BatchedModel:
    """In bfloat16; only under `fake_device`."""
    vocabulary = config.text_config.vocab_size
    model = _on_meta(config)
    model._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device=DEVICE))
    for part in (model.model.audio_tower, model.model.language_model):
        part.rotary_emb.inv_freq = torch.zeros(part.rotary_emb.inv_freq.shape, device=DEVICE)
    return BatchedModel(
        model,
        LogMel(VoxtralRealtimeFeatureExtractor()),
        PROMPT,
        Sayable(STREAMING_PAD, EOS, np.ones(vocabulary, np.bool_)),
        rows=rows,
        text_window=text_window,
        attn_implementation="sdpa",
        cuda_graphs=False,
    )


def counted_pass(config: VoxtralRealtimeConfig, *, rows: int, text_window: int) -> Counting:
    """One pass of so many sessions that are longer than their windows."""
    counting = Counting()
    with fake_device():
        batched = batched_model(config, rows=rows, text_window=text_window)
        with counting.whole():
            batched._pass(rows, text_window)
    return counting


def published_config(encoder_layers: int = 32, text_layers: int = 26) -> VoxtralRealtimeConfig:
    """The shape of the published checkpoint, perhaps with fewer layers: each is like the others."""
    config = VoxtralRealtimeConfig()
    config.audio_config.num_hidden_layers, config.text_config.num_hidden_layers = encoder_layers, text_layers
    return config


def _on_meta(config: VoxtralRealtimeConfig) -> VoxtralRealtimeForConditionalGeneration:
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch._subclasses.fake_tensor.unset_fake_temporarily(), torch.device("meta"):
            return VoxtralRealtimeForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(previous)
