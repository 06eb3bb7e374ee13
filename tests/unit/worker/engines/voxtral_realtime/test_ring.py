"""Rings show each query exactly its window, and rotary angles stay true however far a session has come."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.voxtral_realtime.attention import ExactRotary, additive, ring_eager, ring_sdpa
from worker.engines.voxtral_realtime.fp8 import FP8, quantised, restored
from worker.engines.voxtral_realtime.ring import ConvolutionPads, Ring
from worker.engines.voxtral_realtime.sizes import RingShape

CPU = torch.device("cpu")


def ring_of(window: int, queries: int, rows: int = 2) -> Ring:
    shape = RingShape(layers=1, heads=1, head_dim=1, window=window, queries=queries)
    return Ring(shape, rows, torch.float32, CPU)


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 40), st.integers(0, 1))
def test_ring_shows_each_query_its_window(window: int, queries: int, passes: int, short_read: int) -> None:
    """Entry p holds the value p, so what is visible can be read off."""
    ring = ring_of(window, queries, rows=1)
    for number in range(passes):
        positions = torch.arange(number * queries, (number + 1) * queries)[None]
        filled = (number + 1) * queries if short_read else ring.length
        mask = ring.prepare(positions, filled)
        written = positions[:, None, :, None].float()
        keys, values = ring.update(written, -written, 0)
        for query, position in enumerate(positions[0].tolist()):
            seen = keys[0, 0, :, 0][mask[0, 0, query]]
            assert sorted(seen.tolist()) == list(range(max(0, position - window + 1), position + 1))
            assert torch.equal(values[0, 0, :, 0][mask[0, 0, query]], -seen)


def test_row_that_does_not_advance_harms_nothing() -> None:
    ring = ring_of(4, 1)
    for position in range(50):
        at = torch.tensor([[position], [7]])  # the second row waits at position 7
        ring.prepare(at, ring.length)
        ring.update(torch.full((2, 1, 1, 1), float(position)), torch.zeros(2, 1, 1, 1), 0)
    mask = ring.prepare(torch.tensor([[49], [7]]), ring.length)
    keys, _ = ring.update(torch.full((2, 1, 1, 1), 49.0), torch.zeros(2, 1, 1, 1), 0)
    assert sorted(keys[0, 0, :, 0][mask[0, 0, 0]].tolist()) == [46.0, 47.0, 48.0, 49.0]


def test_ring_keeps_one_row_through_copy_and_snapshot() -> None:
    ring = ring_of(8, 1)
    at = torch.tensor([[0], [0]])
    for position in range(5):
        ring.prepare(at + position, ring.length)
        ring.update(torch.tensor([1.0, 2.0]).view(2, 1, 1, 1) * (position + 1), torch.zeros(2, 1, 1, 1), 0)
    kept = ring.snapshot(1, 5)
    ring.copy_row(0, 1)
    mask = ring.prepare(at + 4, ring.length)
    keys, _ = ring.update(torch.full((2, 1, 1, 1), 5.0), torch.zeros(2, 1, 1, 1), 0)
    assert torch.equal(keys[0], keys[1])
    ring.restore(0, kept)
    assert sorted(keys[0, 0, :, 0][mask[0, 0, 0]].tolist()) == [2.0, 4.0, 6.0, 8.0, 10.0]


def test_convolution_pads_change_only_for_rows_that_advance() -> None:
    pads = ConvolutionPads({"first": (1, 2)}, 2, torch.float32, CPU)
    pads.prepare(torch.tensor([True, False]))
    pads.update(torch.tensor([[[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]]]), "first", None)
    pads.prepare(torch.tensor([True, True]))
    padded = pads.update(torch.tensor([[[4.0, 5.0, 6.0]], [[4.0, 5.0, 6.0]]]), "first", None)
    assert padded[:, 0].tolist() == [[2.0, 3.0, 4.0, 5.0, 6.0], [0.0, 0.0, 4.0, 5.0, 6.0]]


@pytest.mark.parametrize("position", [0, 131_072, 10**9])  # 10⁹ positions are 2½ years
def test_rotary_distance_is_the_same_at_any_position(position: int) -> None:
    inv_freq = 1.0 / 10_000 ** (torch.arange(0, 16, 2).double() / 16)
    rotary = ExactRotary(inv_freq, 1.0)
    cosine, sine = rotary(torch.zeros(1), torch.tensor([[position, position + 100]]))
    turned = torch.complex(cosine, sine)[0]
    expected = torch.polar(torch.ones(8).double(), 100 * inv_freq).to(torch.complex64)
    assert torch.allclose((turned[1] * turned[0].conj())[:8], expected, atol=2e-6)


@pytest.mark.parametrize(("heads", "queries"), [(2, 4), (8, 1), (8, 3)])
def test_both_attentions_equal_plain_attention_with_repeated_keys(heads: int, queries: int) -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(3, heads, queries, 4, generator=generator)
    key, value = torch.randn(2, 3, 2, 16, 4, generator=generator)
    mask = torch.rand(3, 1, queries, 16, generator=generator) > 0.3
    scaling = 1 / math.sqrt(4)
    repeated = [one.repeat_interleave(heads // 2, dim=1) for one in (key, value)]
    scores = (query @ repeated[0].transpose(2, 3) * scaling).masked_fill(~mask, float("-inf"))
    expected = (scores.softmax(-1) @ repeated[1]).transpose(1, 2)
    added = additive(mask, torch.float32, heads // 2)
    for attend in (ring_sdpa, ring_eager):
        heard, _ = attend(torch.nn.Identity(), query, key, value, added, scaling=scaling)
        assert torch.allclose(heard, expected, atol=1e-6)


@given(st.integers(0, 99), st.floats(1e-6, 1e6))
def test_8_bits_are_off_by_a_sixteenth_at_most(seed: int, size: float) -> None:
    """Or by 2⁻¹⁸ of the vector's largest value."""
    values = torch.randn(4, 32, generator=torch.Generator().manual_seed(seed)) ** 3 * size
    values[0] = 0
    codes, scales = quantised(values)
    assert (codes.element_size(), scales.shape) == (1, (4,))
    apart = (restored(codes, scales, torch.float32) - values).abs()
    peaks = values.abs().amax(dim=-1, keepdim=True)
    assert bool((apart <= torch.maximum(values.abs() / 16, peaks * 2.0**-18)).all())


def test_ring_of_8_bits_keeps_rows_through_copy_and_snapshot() -> None:
    shape = RingShape(layers=2, heads=2, head_dim=8, window=12, queries=1)
    plain, small = (Ring(shape, 3, torch.float32, CPU, stored_as=kept) for kept in (None, FP8))
    entries = torch.randn(2, 20, 3, 2, 1, 8, generator=torch.Generator().manual_seed(0)) * 100
    seen = []
    for ring in (plain, small):
        for position in range(20):  # past the ring's 16 entries
            ring.prepare(torch.full((3, 1), position), position + 1)
            ring.update(*entries[:, position], 1)
        kept = ring.snapshot(0, 20)
        ring.copy_row(2, 1)
        ring.restore(2, kept)
        ring.prepare(torch.full((3, 1), 20), 21)
        seen.append(torch.stack(ring.update(*torch.zeros(2, 3, 2, 1, 8), 1)))
    assert torch.allclose(seen[0], seen[1], rtol=1 / 16, atol=1e-3)
    assert torch.equal(seen[1][:, 0], seen[1][:, 2])
    assert sum(stored.nbytes for stored in small._tensors()) < 0.32 * plain._store.nbytes


def test_ring_may_keep_another_precision_than_the_model_computes_in() -> None:
    ring = Ring(RingShape(1, 1, 8, 12, 1), 1, torch.float32, CPU, stored_as=torch.bfloat16)
    ring.prepare(torch.zeros(1, 1, dtype=torch.long), 1)
    keys, _ = ring.update(torch.full((1, 1, 1, 8), 1.001), torch.zeros(1, 1, 1, 8), 0)
    assert (keys.dtype, keys.unique().tolist()) == (torch.float32, [1.0])


@pytest.mark.parametrize("stored_as", [None, torch.bfloat16, FP8])
def test_chunk_of_one_row_is_kept_as_passes_keep_it(stored_as: torch.dtype | None) -> None:
    shape = RingShape(layers=2, heads=2, head_dim=8, window=12, queries=1)
    by_passes, at_once = (Ring(shape, 3, torch.float32, CPU, stored_as=stored_as) for _ in range(2))
    new = torch.randn(2, 1, 2, 5, 8, generator=torch.Generator().manual_seed(0))
    for position in range(5):
        by_passes.prepare(torch.full((3, 1), 14 + position), 20)
        by_passes.update(*new[..., position : position + 1, :].expand(2, 3, 2, 1, 8), 1)
    at_once.write_row(1, 1, torch.arange(14, 19), *new)
    for expected, got in zip(by_passes.snapshot(1, 20), at_once.snapshot(1, 20), strict=True):
        assert torch.equal(expected, got)
    where = torch.arange(14, 19) % at_once.length
    for expected, got in zip(new, at_once.read_row(1, 1, at_once.length), strict=True):
        assert torch.equal(at_once.as_kept(expected), got[:, :, where])
    assert not at_once._store[:, :, [0, 2]].float().any()
