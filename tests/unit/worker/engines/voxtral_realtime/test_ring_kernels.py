"""Triton's kernels say what PyTorch's attention says, whatever a ring holds. They run in Triton's interpreter here."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from worker.engines.voxtral_realtime.attention import ExactRotary, additive, ring_sdpa
from worker.engines.voxtral_realtime.fp8 import FP8, MAX
from worker.engines.voxtral_realtime.ring import Ring
from worker.engines.voxtral_realtime.sizes import RingShape

pytest.importorskip("triton", reason="Triton is not installed, so that its kernels cannot be run.")

import triton
import triton.language as tl

from worker.engines.voxtral_realtime import ring_attention as ring_attention_module
from worker.engines.voxtral_realtime.ring_attention import MAX_PARTS, parts_for, ring_attention
from worker.engines.voxtral_realtime.ring_kernels import fp8_codes, fp8_values

CPU = torch.device("cpu")
BOUNDS = {torch.float32: 2e-6, torch.bfloat16: 0.015}
"""Of the difference to the reference, over its length. In bfloat16 the reference itself rounds between operations."""
TEXT = {"heads": 2, "head_dim": 16, "window": 60, "queries": 1}
ENCODER = {"heads": 1, "head_dim": 32, "window": 30, "queries": 4}
KINDS = [
    (TEXT, 4, torch.float32),
    (TEXT | {"head_dim": 40, "heads": 1}, 2, torch.bfloat16),
    (ENCODER, 1, torch.bfloat16),
    (ENCODER | {"head_dim": 64}, 2, torch.float32),
]


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


class Pair:
    """Two rings with the same entries: one for the reference, one for the kernels."""

    def __init__(self, shape: RingShape, rows: int, dtype: torch.dtype, stored_as: torch.dtype | None = None) -> None:
        self.shape, self.dtype = shape, dtype
        self.rings = [Ring(shape, rows, dtype, CPU, stored_as=stored_as) for _ in range(2)]
        numbers = random(*self.rings[0]._store.shape, seed=1)
        for ring in self.rings:
            ring._store.copy_((numbers * 100 if stored_as == FP8 else numbers).to(ring._store.dtype))
            if ring._scales is not None:
                ring._scales.fill_(0.01)

    def heard(
        self, positions: Tensor, group: int, processors: int, seed: int = 2, turned_to: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Of the reference and of the kernels, `[batch, queries, heads × dim]`, with the angles of `turned_to`."""
        shape, (plain, fast) = self.shape, self.rings
        batch, queries = positions.shape
        widths = [shape.heads * group * shape.head_dim, shape.heads * shape.head_dim, shape.heads * shape.head_dim]
        fused = random(batch, queries, sum(widths), seed=seed, dtype=self.dtype)
        query, key, value = fused.split(widths, dim=-1)  # as fused projections give them: not contiguous
        rotary = ExactRotary(1.0 / 100 ** (torch.arange(0, shape.head_dim, 2).double() / shape.head_dim), 1.0)
        cosines, sines = rotary(fused, positions if turned_to is None else turned_to)
        scaling = 1 / math.sqrt(shape.head_dim)

        def by_head(values: Tensor) -> Tensor:
            return values.unflatten(-1, (-1, shape.head_dim)).transpose(1, 2)

        def rotated(values: Tensor) -> Tensor:
            halves = torch.cat([-values[..., shape.head_dim // 2 :], values[..., : shape.head_dim // 2]], dim=-1)
            return values * cosines[:, None] + halves * sines[:, None]

        mask = additive(plain.prepare(positions, int(positions.max()) + 1), self.dtype, group)
        keys, values = plain.update(rotated(by_head(key)), by_head(value), 0)
        expected, _ = ring_sdpa(torch.nn.Identity(), rotated(by_head(query)), keys, values, mask, scaling=scaling)
        fast.by_kernel = True
        assert fast.prepare(positions, int(positions.max()) + 1).shape == (batch, 1, queries, 1)
        got = ring_attention(
            fast, 0, query, key, value, angles=(cosines, sines), scaling=scaling, processors=processors
        )
        return expected.flatten(-2), got


def distance(expected: Tensor, got: Tensor) -> float:
    """Of the worst vector, over its length."""
    lengths = expected.float().norm(dim=-1)
    return float(((got.float() - expected.float()).norm(dim=-1) / lengths).max())


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short rings are read in several steps and cut into several parts."""
    monkeypatch.setattr(ring_attention_module, "BLOCK", 16)
    monkeypatch.setattr(ring_attention_module, "MIN_PART", 16)


@pytest.mark.parametrize(
    ("kind", "group", "dtype", "processors"), [(*KINDS[0], 64), (*KINDS[1], 1), (*KINDS[2], 64), (*KINDS[3], 1)]
)
def test_kernels_equal_the_reference(kind: dict[str, int], group: int, dtype: torch.dtype, processors: int) -> None:
    """Rows that have just begun, that are unused, that fill the ring exactly, and far past it."""
    shape = RingShape(layers=1, **kind)
    filled = [0, 19, shape.length - shape.queries, shape.length, 10**10]
    first = torch.tensor(filled) // shape.queries * shape.queries
    positions = first[:, None] + torch.arange(shape.queries)
    pair = Pair(shape, len(filled) + 1, dtype)
    untouched = pair.rings[1]._store[:, :, -1].clone()
    for number in range(2):  # the second pass reads what the first has written
        expected, got = pair.heard(positions + number * shape.queries, group, processors, seed=number)
        assert distance(expected, got) < BOUNDS[dtype]
    assert torch.allclose(pair.rings[0]._store.float(), pair.rings[1]._store.float(), rtol=0.01, atol=0.02)
    assert torch.equal(pair.rings[1]._store[:, :, -1], untouched), "rows outside the batch stay as they are"


@pytest.mark.parametrize(("kind", "group", "dtype"), KINDS[::2])
def test_kernels_read_and_write_8_bits(kind: dict[str, int], group: int, dtype: torch.dtype) -> None:
    shape = RingShape(layers=1, **kind)
    positions = torch.tensor([0, 5, 9 * shape.length])[:, None] * shape.queries + torch.arange(shape.queries)
    pair = Pair(shape, len(positions), dtype, FP8)
    for number in range(2):
        expected, got = pair.heard(positions + number * shape.queries, group, 64, seed=number)
        assert distance(expected, got) < (0.02 if dtype == torch.float32 else 0.08)  # a step of the format is 1/8
    kept = [ring._store.float() * ring._scales[..., None] for ring in pair.rings if ring._scales is not None]
    assert torch.allclose(*kept, rtol=0.13, atol=0.02), "at most one step of the format apart"


class Recording:
    """Stands for a CUDA graph: keeps a kernel's launches, to be repeated with the same arguments."""

    def __init__(self, kernel: Any, launches: list[Any]) -> None:
        self._kernel, self._launches = kernel, launches

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def launch(*args: Any, **options: Any) -> None:
            self._launches.append(lambda: self._kernel[grid](*args, **options))
            self._launches[-1]()

        return launch


def test_launches_can_be_repeated_at_other_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing about a launch depends on what the device holds."""
    launches: list[Any] = []
    for name in ("attend", "combine"):
        monkeypatch.setattr(ring_attention_module, name, Recording(getattr(ring_attention_module, name), launches))
    pair = Pair(RingShape(layers=1, **ENCODER), 2, torch.float32)
    positions = torch.tensor([[96, 97, 98, 99], [4, 5, 6, 7]])
    _, got = pair.heard(positions, 1, processors=64)
    assert len(launches) == 2
    asked = positions.clone()
    positions[1] += 4  # its angles stay as they are
    for launch in launches[:2]:
        launch()
    same = Pair(pair.shape, 2, torch.float32)
    same.heard(asked, 1, processors=64)
    expected, _ = same.heard(positions, 1, processors=64, turned_to=asked)
    assert distance(expected, got) < BOUNDS[torch.float32]


@triton.jit
def _round_trip(numbers, codes, back, count: tl.constexpr):
    at = tl.arange(0, count)
    code = fp8_codes(tl.load(numbers + at))
    tl.store(codes + at, code)
    tl.store(back + at, fp8_values(code, tl.float32, False))


def test_kernels_round_to_8_bits_as_pytorch_does() -> None:
    """All numbers of the format, all ties between them, and others."""
    exact = torch.arange(127, dtype=torch.uint8).view(FP8).float()
    ties = (exact[1:] + exact[:-1]) / 2
    numbers = torch.cat([exact, ties, random(1024 - 253, seed=0).exp().clamp(max=MAX)])
    numbers = torch.cat([numbers, -numbers])
    codes, back = torch.empty(2048, dtype=torch.uint8), torch.empty(2048)
    _round_trip[(1,)](numbers, codes, back, count=2048)
    expected = numbers.to(FP8)
    assert torch.equal(back, expected.float())
    assert torch.equal(codes[:1023], expected.view(torch.uint8)[:1023])


@pytest.mark.parametrize(
    ("programs", "filled", "parts"),
    [(8, 2048, 16), (8, 192, 1), (8, 512, 4), (4096, 8192, 1), (300, 2048, 2), (1, 100_000, MAX_PARTS)],
)
def test_rings_are_split_if_a_gpu_would_be_idle(
    programs: int, filled: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert parts_for(programs, filled, processors=132) == parts
