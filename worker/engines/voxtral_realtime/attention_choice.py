"""Chooses the attention code, Triton's kernels or PyTorch's, by a trial on the model's device during warm-up.

Triton's kernels are used if they compile, give PyTorch's result and are faster. The trial runs the first attention
layer of the encoder and of the language model over all rows, with full rings, and chooses separately for each. Products
with weights of 8 bits are chosen in the same way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
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
    fields: dict[str, object] = {"part": "products"}

    def by(function: Product) -> Tensor:
        return function(hidden, largest.weight, largest.scales)

    @cache
    def kernel_product() -> Product:
        """Defined on the first call, since that can fail, too."""
        from worker.engines.voxtral_realtime import weight_product  # noqa: PLC0415 -- needs Triton

        return weight_product.kernel_product

    def difference() -> float:
        expected, got = by(product).float(), by(kernel_product()).float()
        return float((got - expected).norm() / expected.norm())

    def times_ms() -> tuple[float, float]:
        return _timed_ms(lambda: by(product), device), _timed_ms(lambda: by(kernel_product()), device)

    reason = _objection(difference, MAX_DIFFERENCE[hidden.dtype], times_ms if device.type == "cuda" else None, fields)
    if reason is not None:
        log.warning("products_chosen", kernel="torch", reason=f"Triton's product is not used: {reason}.", **fields)
        return "torch"
    for one in modules:
        one.product = kernel_product()
    log.info("products_chosen", kernel=TRITON, **fields)
    return TRITON


def _objection(
    difference: Callable[[], float],
    allowed: float,
    times_ms: Callable[[], tuple[float, float]] | None,
    fields: dict[str, object],
) -> str | None:
    """Why Triton's code is not used, as the end of a sentence, or None. What is measured is added to `fields`.

    `times_ms` measures PyTorch's code and Triton's; without it, Triton's need not be faster.
    """
    try:
        found = difference()
        fields |= {"difference": round(found, 5)}
        if not found <= allowed:  # NaN is not
            return f"its result differs by {found:.2g}, more than {allowed}"
        if times_ms is None:
            return None
        torch_ms, triton_ms = times_ms()
        fields |= {"torch_ms": round(torch_ms, 3), "triton_ms": round(triton_ms, 3)}
    except Exception as error:  # whatever Triton raises if it cannot compile or run, PyTorch's code works
        if is_out_of_memory(error):
            raise
        return f"it cannot run ({_one_line(error)})"
    return "it is slower" if triton_ms >= torch_ms else None


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
    kernels = cache(lambda: RingAttention(part.module.layers[0].self_attn, processors))
    trial = _Trial(part, rows)
    fields: dict[str, object] = {"part": part.name}
    allowed = MAX_FP8_DIFFERENCE if part.ring.is_fp8 else MAX_DIFFERENCE[trial.dtype]
    times_ms = (lambda: trial.times_ms(kernels())) if wanted == "auto" else None
    try:
        reason = _objection(lambda: trial.difference(kernels()), allowed, times_ms, fields)
    finally:
        part.ring.by_kernel = False
        part.ring.clear()
    if reason is None:
        use_kernels(part.module, part.ring, processors)
        log.info("attention_chosen", kernel=TRITON, **fields)
        return TRITON
    if wanted == TRITON:
        raise StartupError(
            f"Setting model.attention is 'triton', but for the {part.name} {reason}; allowed here: auto, torch."
        )
    log.warning("attention_chosen", kernel=torch_name, reason=f"Triton's attention is not used: {reason}.", **fields)
    return torch_name


class _Trial:
    """One attention layer over all rows, with rings that are full or nearly so."""

    def __init__(self, part: AttentionPart, rows: int) -> None:
        self._part, self._ring = part, part.ring
        shape, device = part.ring.shape, part.ring.device
        self._stock = part.module.layers[0].self_attn
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

    def difference(self, kernels: nn.Module) -> float:
        """Difference of the two results: the worst vector, relative to the length of PyTorch's. NaN if one has any."""
        by_torch = self._ready(by_kernel=False)()
        by_kernel = self._ready(by_kernel=True, layer=kernels)()
        apart = (by_kernel.float() - by_torch.float()).norm(dim=-1)
        return float((apart / by_torch.float().norm(dim=-1).clamp(min=1e-6)).max())

    def times_ms(self, kernels: nn.Module) -> tuple[float, float]:
        """PyTorch's and the kernels'."""
        device = self._hidden.device
        torch_ms = _timed_ms(self._ready(by_kernel=False), device)
        return torch_ms, _timed_ms(self._ready(by_kernel=True, layer=kernels), device)

    def _ready(self, *, by_kernel: bool, layer: nn.Module | None = None) -> Callable[[], Tensor]:
        """A run of the layer over rings that have the same content each time."""
        self._ring.by_kernel = by_kernel
        self._ring.fill_layer(0, *self._entries)
        visible = self._ring.prepare(self._positions, self._ring.length)
        mask = additive(visible, self.dtype, 1 if by_kernel else self._part.group)
        layer = layer or self._stock

        def run() -> Tensor:
            with pinned_kernels(self._hidden.device):
                heard: Tensor = layer(
                    hidden_states=self._hidden,
                    position_embeddings=self._angles,
                    attention_mask=mask,
                    past_key_values=self._ring,
                )[0]
            return heard

        return run


def _timed_ms(run: Callable[[], Tensor], device: torch.device) -> float:
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
