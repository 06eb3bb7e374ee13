"""Chooses the attention code, Triton's kernels or PyTorch's, by a trial on the model's device during warm-up.

Triton's kernels are used if they compile, give PyTorch's result and are faster. The trial runs the first attention
layer of the encoder and of the language model over all rows, with full rings, and chooses separately for each. Products
with weights of 8 bits are chosen in the same way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog
import torch
from torch import Tensor, nn

from shared.errors import StartupError
from worker.engines.attention_kernels import pinned_kernels
from worker.engines.loading.out_of_memory import is_out_of_memory
from worker.engines.voxtral_realtime.attention import additive
from worker.engines.voxtral_realtime.ring import Ring
from worker.engines.voxtral_realtime.weights import Product, product, small_weights

Wanted = Literal["auto", "torch", "triton"]
Run = Callable[[], Tensor]
TRITON: Final = "triton"
MAX_DIFFERENCE: Final = {torch.float32: 1e-3, torch.bfloat16: 0.04, torch.float16: 0.01}
"""Difference of the two results, relative to the length of PyTorch's. Both round between operations; results of eight
bits differ further, by a step of the format, when one rounds up and the other down."""
MAX_FP8_DIFFERENCE: Final = 0.08
TIMED_RUNS: Final = 5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AttentionPart:
    """The encoder or the language model."""

    name: str
    module: Any
    ring: Ring
    group: int
    """Queries that share a head of keys."""


def choose_attention(wanted: Wanted, parts: list[AttentionPart], rows: int, torch_name: str) -> str:
    """Put Triton's kernels into the parts that can use them, and return the name of the attention code.

    Raises `StartupError` if Triton is `wanted` explicitly and cannot run here.
    """
    if wanted == "torch":
        return torch_name
    if (obstacle := _obstacle(wanted, parts[0].ring.device)) is not None:
        if wanted == TRITON:
            raise StartupError(f"Setting model.attention is 'triton', but {obstacle}; allowed here: auto, torch.")
        log.info("attention_chosen", kernel=torch_name, reason=obstacle)
        return torch_name
    chosen = {part.name: _chosen(wanted, part, rows, torch_name) for part in parts}
    if len(set(chosen.values())) == 1:
        return chosen[parts[0].name]
    return "; ".join(f"{name}: {kernel}" for name, kernel in chosen.items())


def choose_products(wanted: Wanted, model: nn.Module, device: torch.device) -> str:
    """Use Triton for products with weights of 8 bits if it is correct and faster. Returns the name of the choice.

    `torch` excludes Triton; otherwise PyTorch's products stay if Triton's cannot run.
    """
    modules = small_weights(model)
    if not modules or wanted == "torch" or _obstacle(wanted, device) is not None:
        return "torch"
    largest = max(modules, key=lambda one: one.weight.numel())
    hidden = torch.randn(1, 1, largest.weight.shape[1], device=device).to(largest.scales.dtype)

    def by(function: Product) -> Run:
        return lambda: function(hidden, largest.weight, largest.scales)

    allowed = MAX_DIFFERENCE[hidden.dtype]
    found = _compared(
        lambda: by(product), lambda: by(_kernel_product()), allowed, device, must_be_faster=device.type == "cuda"
    )
    if found.objection is not None:
        reason = f"Triton's product is not used: {found.objection}."
        log.warning("products_chosen", part="products", kernel="torch", reason=reason, **found.measured)
        return "torch"
    for one in modules:
        one.product = _kernel_product()
    log.info("products_chosen", part="products", kernel=TRITON, **found.measured)
    return TRITON


def _kernel_product() -> Product:
    """Defined on the first call, which can fail, too."""
    from worker.engines.voxtral_realtime import weight_product  # noqa: PLC0415 -- needs Triton

    return weight_product.kernel_product


@dataclass(frozen=True, slots=True)
class _Comparison:
    objection: str | None
    """Why Triton's code is not used, as the end of a sentence."""
    measured: dict[str, float]
    """For the log."""


def _compared(
    by_torch: Callable[[], Run],
    by_triton: Callable[[], Run],
    allowed: float,
    device: torch.device,
    *,
    must_be_faster: bool,
) -> _Comparison:
    """Compare the results of PyTorch's and of Triton's code, and their times on the GPU if Triton's must be faster.

    Each run is made anew, since the ones before may have changed what it reads.
    """
    measured: dict[str, float] = {}
    try:
        difference = _difference(by_torch()(), by_triton()())
        measured["difference"] = round(difference, 5)
        if not difference <= allowed:  # NaN is not
            return _Comparison(f"its result differs by {difference:.2g}, more than {allowed}", measured)
        if must_be_faster:
            measured["torch_ms"] = round(_timed_ms(by_torch(), device), 3)
            measured["triton_ms"] = round(_timed_ms(by_triton(), device), 3)
            if measured["triton_ms"] >= measured["torch_ms"]:
                return _Comparison("it is slower", measured)
    except Exception as error:  # whatever Triton raises if it cannot compile or run, PyTorch's code works
        if is_out_of_memory(error):
            raise
        return _Comparison(f"it cannot run ({_one_line(error)})", measured)
    return _Comparison(None, measured)


def _difference(by_torch: Tensor, by_triton: Tensor) -> float:
    """That of the worst vector, relative to the length of PyTorch's. NaN if one has any."""
    apart = (by_triton.float() - by_torch.float()).norm(dim=-1)
    return float((apart / by_torch.float().norm(dim=-1).clamp(min=1e-6)).max())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def _obstacle(wanted: Wanted, device: torch.device) -> str | None:
    """The reason why Triton cannot run at all, as the end of a sentence. Its interpreter is used only on request."""
    try:
        from worker.engines.voxtral_realtime.ring_attention import INTERPRETED  # noqa: PLC0415 -- not with every torch
    except ImportError:
        return "Triton is not installed"
    if device.type != "cuda" and not (INTERPRETED and wanted == TRITON):
        return f"its kernels run on NVIDIA GPUs and the model is on {device}"
    return None


def _chosen(wanted: Wanted, part: AttentionPart, rows: int, torch_name: str) -> str:
    """`triton`, after putting it in place, or the name of PyTorch's attention."""
    from worker.engines.voxtral_realtime.ring_attention import RingAttention, use_kernels  # noqa: PLC0415

    processors = _processors(part.ring.device)
    trial = _Trial(part, rows)
    try:
        found = _compared(
            lambda: trial.run(part.module.layers[0].self_attn, by_kernel=False),
            lambda: trial.run(RingAttention(part.module.layers[0].self_attn, processors), by_kernel=True),
            MAX_FP8_DIFFERENCE if part.ring.is_fp8 else MAX_DIFFERENCE[trial.dtype],
            part.ring.device,
            must_be_faster=wanted == "auto",
        )
    finally:
        part.ring.by_kernel = False
        part.ring.clear()
    if found.objection is None:
        use_kernels(part.module, part.ring, processors)
        log.info("attention_chosen", part=part.name, kernel=TRITON, **found.measured)
        return TRITON
    if wanted == TRITON:
        raise StartupError(
            f"Setting model.attention is 'triton', but for the {part.name} {found.objection}; "
            "allowed here: auto, torch."
        )
    reason = f"Triton's attention is not used: {found.objection}."
    log.warning("attention_chosen", part=part.name, kernel=torch_name, reason=reason, **found.measured)
    return torch_name


class _Trial:
    """One attention layer over all rows, with rings that are full or nearly so."""

    def __init__(self, part: AttentionPart, rows: int) -> None:
        self._part, self._ring = part, part.ring
        shape, device = part.ring.shape, part.ring.device
        self.dtype = part.ring.dtype
        generator = torch.Generator(device=device).manual_seed(0)

        def random(*size: int) -> Tensor:
            return torch.randn(size, generator=generator, device=device, dtype=torch.float32).to(self.dtype)

        self._entries = random(2, shape.heads, shape.length, shape.head_dim)
        self._hidden = random(rows, shape.queries, part.module.config.hidden_size)
        passes = torch.arange(rows, device=device) * 3 + shape.length // shape.queries
        if rows > 2:  # in addition to full rings, one that has just begun and one half full
            passes[0], passes[1] = 0, shape.length // shape.queries // 2
        self._positions = passes[:, None] * shape.queries + torch.arange(shape.queries, device=device)
        self._angles = part.module.rotary_emb(self._hidden, self._positions)

    def run(self, layer: nn.Module, *, by_kernel: bool) -> Run:
        """A run of the layer over rings that have the same content each time."""
        self._ring.by_kernel = by_kernel
        self._ring.fill_layer(0, *self._entries)
        visible = self._ring.prepare(self._positions, self._ring.length)
        mask = additive(visible, self.dtype, 1 if by_kernel else self._part.group)

        def run() -> Tensor:
            with pinned_kernels(self._hidden.device):
                output: Tensor = layer(
                    hidden_states=self._hidden,
                    position_embeddings=self._angles,
                    attention_mask=mask,
                    past_key_values=self._ring,
                )[0]
            return output

        return run


def _timed_ms(run: Run, device: torch.device) -> float:
    """Milliseconds of a run on this GPU: the median of several runs."""
    times_ms = []
    with torch.cuda.device(device):  # events are of the current device
        for _ in range(TIMED_RUNS + 1):
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            run()
            end.record()
            end.synchronize()
            times_ms.append(begin.elapsed_time(end))
    return sorted(times_ms[1:])[TIMED_RUNS // 2]


def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
