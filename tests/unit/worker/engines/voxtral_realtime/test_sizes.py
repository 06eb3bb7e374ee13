"""How many sessions fit, and the sentence when they do not."""

import re
from types import SimpleNamespace

import pytest
import torch

from shared.config.settings import Settings
from shared.errors import StartupError
from worker.engines.cuda_graphs import covering
from worker.engines.loading.checkpoints import Placement
from worker.engines.voxtral_realtime import loading
from worker.engines.voxtral_realtime.fp8 import FP8
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.sizes import (
    ACTIVATIONS_BYTES,
    GRAPH_BYTES,
    MAX_AUTO_ROWS,
    RingShape,
    Room,
    beside_bytes,
    row_bytes,
    row_bytes_fp8,
)

# The published 4B checkpoint.
CONFIG = SimpleNamespace(
    downsample_factor=4,
    audio_config=SimpleNamespace(num_hidden_layers=32, num_attention_heads=32, head_dim=64, sliding_window=750),
    text_config=SimpleNamespace(num_hidden_layers=26, num_key_value_heads=8, head_dim=128, sliding_window=8192),
)
PROMPT = Prompt(1, 32, left_pad_tokens=32, default_delay_ms=480, hop_samples=160, n_fft=400, mel_frames=8)
GB = 10**9


def test_row_of_the_published_model_takes_what_its_rings_take() -> None:
    encoder, text = 2 * 32 * 32 * 64 * 768 * 2, 2 * 26 * 8 * 128 * 2048 * 2
    assert row_bytes(CONFIG, 2048, 2) == encoder + text == 419_430_400
    assert row_bytes(CONFIG, 100_000, 2) == row_bytes(CONFIG, 8192, 2)


def test_row_of_8_bits_takes_half_and_what_reading_it_needs() -> None:
    """Scales of two bytes for each vector, and one layer of the language model in bfloat16."""
    values, vectors = 419_430_400 // 2, 2 * 32 * 32 * 768 + 2 * 26 * 8 * 2048
    assert row_bytes_fp8(CONFIG, 2048, 2) == values + 2 * vectors + 2 * 8 * 128 * 2048 * 2
    assert row_bytes_fp8(CONFIG, 2048, 2) < 0.54 * row_bytes(CONFIG, 2048, 2)


@pytest.mark.parametrize(
    ("kv_dtype", "slots", "free_gb", "kept_as"),
    [
        ("auto", None, 11, torch.bfloat16),
        ("auto", None, 3.5, FP8),  # holds three rows of 0.42 GB beside the reserve of 2.1 GB, and six of 0.22 GB
        ("auto", 6, 4, FP8),
        ("auto", 1, 3.5, torch.bfloat16),
        ("bf16", None, 3.5, torch.bfloat16),
        ("fp8", None, 11, FP8),
    ],
)
def test_keys_and_values_take_8_bits_where_memory_is_short(
    kv_dtype: str, slots: int | None, free_gb: float, kept_as: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "free_memory_bytes", lambda device: int(free_gb * GB))
    settings = Settings(model={"kv_dtype": kv_dtype, "slots": slots})  # type: ignore[arg-type]
    placed = Placement("cuda:0", torch.bfloat16, "sdpa")
    rows, chosen = loading._rows(settings, CONFIG, placed, 16, PROMPT)
    assert chosen == kept_as
    assert rows == slots if slots else rows >= 1


@pytest.mark.parametrize(("wanted", "size"), [(1, 1), (2, 4), (4, 4), (5, 9), (9, 9), (70, 9)])
def test_pass_takes_the_smallest_size_that_covers_it(wanted: int, size: int) -> None:
    assert covering([1, 4, 9], wanted) == size


@pytest.mark.parametrize(("window", "queries", "length"), [(750, 4, 768), (2048, 1, 2048), (1, 1, 16), (14, 4, 32)])
def test_ring_holds_a_window_for_each_query_of_a_pass(window: int, queries: int, length: int) -> None:
    assert RingShape(1, 1, 1, window, queries).length == length


def test_unset_slots_fill_a_gpu_and_are_few_on_a_cpu() -> None:
    assert Room("cuda:0", 70 * GB).rows(GB, None, default=16) == 63
    assert Room("cuda:0", 10 * GB).rows(GB, None, default=16) == 7  # 2 GiB stay in reserve
    assert Room("cuda:0", 70 * GB).rows(1, None, default=16) == MAX_AUTO_ROWS
    assert Room("cpu", 70 * GB).rows(1, None, default=16) == 16
    assert Room("cuda:0", 70 * GB).rows(GB, 5, default=16) == 5


def test_snapshots_passes_and_workspaces_are_counted() -> None:
    """31 positions of silence: the encoder's 32.5 MB once, the language model's 3.3 MB for each of 16 delays."""
    beside = beside_bytes(CONFIG, 2, silent_positions=31, delays=16, recorded_passes=0)
    assert beside == 32_505_856 + 16 * 3_301_376 + 2 * 32 * 2**20
    assert beside_bytes(CONFIG, 2, silent_positions=31, delays=16, recorded_passes=9) == beside + 9 * GRAPH_BYTES
    many = Room("cuda:0", 12 * GB, lambda rows: rows * GB // 2).rows(GB, None)
    assert many == int((12 * GB - ACTIVATIONS_BYTES - 9 * GB // 2) // GB)
    assert Room("cuda:0", 12 * GB, lambda rows: 1).rows(GB, None) == 9


@pytest.mark.parametrize(
    ("wanted", "free", "said"), [(64, 70 * GB, "64, but 63 slots"), (None, GB, "unset, but 0 slots")]
)
def test_slots_that_do_not_fit_are_rejected_with_the_number_that_fits(wanted: int | None, free: int, said: str) -> None:
    with pytest.raises(StartupError, match=re.escape(said) + r".*cuda:1.*lower .*model\.text_window\.$"):
        Room("cuda:1", free).rows(GB, wanted, default=16)


@pytest.mark.parametrize(
    ("model", "remedies"),
    [
        ({"slots": 90}, "lower model.slots or model.text_window, or set model.weight_dtype to int8."),
        ({"kv_dtype": "bf16", "slots": 90}, ", or set model.kv_dtype to fp8 or model.weight_dtype to int8."),
        ({"kv_dtype": "fp8", "weight_dtype": "int8", "slots": 90}, "lower model.slots or model.text_window."),
    ],
)
def test_only_remedies_that_are_left_are_named(
    model: dict[str, object], remedies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto` has tried fp8 itself."""
    monkeypatch.setattr(loading, "free_memory_bytes", lambda device: 7 * GB)
    with pytest.raises(StartupError, match=re.escape(remedies)):
        loading._rows(Settings(model=model), CONFIG, Placement("cuda:0", torch.bfloat16, "sdpa"), 16, PROMPT)  # type: ignore[arg-type]
