"""What `auto` stands for, by the GPU's memory, and in which precision a Whisper fits."""

import pytest

from shared.whisper_models import EMBEDDED_WHISPER, WHISPER_ALIASES, WHISPER_MODELS
from worker.engines.auto import REALTIME, WHISPERS, choose
from worker.engines.whisper.sizes import LARGE, SIZES, SMALL, TURBO, fitting_compute_type, size_of

GIB = 2**30


@pytest.mark.parametrize(
    ("card_gb", "model", "compute_type"),
    [
        (1, "whisper-tiny", "float16"),
        (2, "whisper-small", "int8_float16"),
        (3, "whisper-large-v3-turbo", "int8_float16"),
        (4, "whisper-large-v3-turbo", "float16"),
        (6, "whisper-large-v3-turbo", "float16"),
        (8, "whisper-large-v3", "float16"),
        (12, "whisper-large-v3", "float16"),
    ],
)
def test_a_small_card_gets_the_best_whisper_that_fits(card_gb: int, model: str, compute_type: str) -> None:
    choice = choose(1, card_gb * GIB)
    assert (choice.model, choice.on_gpu) == (model, True)
    assert fitting_compute_type(SIZES[model], card_gb * GIB) == compute_type
    assert f"has {card_gb * GIB / 1e9:.1f} GB, but {REALTIME} needs 13.7 GB, so {model}" in choice.reason


@pytest.mark.parametrize("memory_bytes", [15_360 * 2**20, 16 * GIB, 24 * GIB, 80 * GIB, None], ids=str)
def test_a_large_card_gets_voxtral_realtime(memory_bytes: int | None) -> None:
    choice = choose(2, memory_bytes)
    assert (choice.model, choice.on_gpu) == (REALTIME, True)
    assert ("is not known" in choice.reason) is (memory_bytes is None)


def test_without_a_gpu_or_on_one_that_is_too_small_the_cpu_serves() -> None:
    assert choose(0, None).model == EMBEDDED_WHISPER
    tiny = choose(1, GIB // 2)
    assert (tiny.model, tiny.on_gpu) == (EMBEDDED_WHISPER, False)
    assert "no Whisper fits" in tiny.reason


def test_more_memory_never_brings_a_worse_model() -> None:
    order = [name for name, _ in reversed(WHISPERS)] + [REALTIME]
    chosen = [order.index(choose(1, quarter * GIB // 4).model) for quarter in range(4, 100)]
    assert chosen == sorted(chosen)


def test_needed_memory_is_near_what_was_measured() -> None:
    """faster-whisper's README, large-v2, one window of 30 s at a time: 4.5 GB in float16, 2.9 GB in int8.

    A batch of 32 short windows needs more, but weights and CUDA's own part are the same.
    """
    beside = LARGE.needed_bytes("float16") - 2 * LARGE.parameters
    assert LARGE.needed_bytes("int8_float16") == LARGE.parameters + beside
    assert 4.5e9 < LARGE.needed_bytes("float16") < 8e9


def test_every_named_whisper_has_a_size() -> None:
    assert tuple(SIZES) == WHISPER_MODELS
    assert set(WHISPER_ALIASES.values()) <= set(SIZES)


@pytest.mark.parametrize(
    ("name", "weights_bytes", "size"),
    [
        ("whisper-small", 1, SMALL),
        ("our-own", 484_000_000, SMALL),
        ("our-own", 1_617_000_000, TURBO),
        ("x", 10**11, LARGE),
    ],
)
def test_the_size_of_an_unnamed_model_is_that_of_its_file(name: str, weights_bytes: int, size: object) -> None:
    assert size_of(name, weights_bytes) is size


def test_unknown_memory_is_taken_for_enough() -> None:
    assert fitting_compute_type(LARGE, None) == "float16"
