"""Triton's kernels are taken where they run and give the same, and the whole model then says the same."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs

from shared.errors import StartupError
from tests.tiny import realtime
from tests.tiny.engine import loaded_realtime
from tests.tiny.vocabulary import STREAMING_PAD
from worker.engines.voxtral_realtime import attention_choice
from worker.engines.voxtral_realtime.prompt import FRESH

pytest.importorskip("triton", reason="Triton is not installed, so that its kernels cannot be run.")

from worker.engines.voxtral_realtime import ring_attention

DELAY_TOKENS = 1
CHUNK = 3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its windows are of 8 frames and 8 positions: kernels run slowly in the interpreter, so few passes must do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(realtime, "ENCODER_WINDOW", 8)
        patch.setattr(realtime, "TEXT_WINDOW", 8)
        return realtime.write_checkpoint(tmp_path_factory.mktemp("model"))


loaded = partial(loaded_realtime, slots=2)


def tokens(model: Any, passes: int) -> list[list[int]]:
    """Of two rows that begin with a chunk; the second joins later and does not advance in every pass."""
    window = (
        np.random.default_rng(0).standard_normal((passes, 2, model._prompt.window_samples)).astype(np.float32) * 0.1
    )
    said: list[list[int]] = [[], []]
    for number in range(passes):
        due = [0] if number < 9 or number % 4 == 0 else [0, 1]
        for row in due:
            if not said[row]:
                model.start(row, DELAY_TOKENS)
                model.prefill(row, window[:CHUNK, row], [STREAMING_PAD] * CHUNK)
            model.stage(row, window[number, row], FRESH if said[row] else STREAMING_PAD)
        got = model.run(1 if number < 9 else 2)
        for row in due:
            said[row].append(got[row])
    return said


def test_kernels_do_not_change_the_text(checkpoint: Path) -> None:
    """Past both windows, and round both rings; chunks leave behind what the kernels read."""
    model = loaded(checkpoint)._model
    model.warm_up({DELAY_TOKENS})
    by_torch = tokens(model, 12)
    assert model._memory.text.length == 16 < model._prompt.first_position + CHUNK + 12
    assert len(set(by_torch[0])) >= 7, "a test of one token over and over proves nothing"
    model._wanted_attention = "triton"
    model._choose_kernels()
    assert model.attention == "triton"
    assert tokens(model, 12) == by_torch


def test_kernels_without_a_gpu_are_rejected(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(checkpoint)._model
    model.warm_up({DELAY_TOKENS})
    assert model.attention == "sdpa", "auto takes no kernels on a CPU"
    monkeypatch.setattr(ring_attention, "INTERPRETED", False)
    with pytest.raises(StartupError, match=r"model\.attention is 'triton', but its kernels run on NVIDIA GPUs .* cpu;"):
        loaded(checkpoint, attention="triton")._model.warm_up({DELAY_TOKENS})
    monkeypatch.setitem(sys.modules, "worker.engines.voxtral_realtime.ring_attention", None)
    with pytest.raises(StartupError, match=r"Triton is not installed; allowed here: auto, torch\."):
        loaded(checkpoint, attention="triton")._model.warm_up({DELAY_TOKENS})


def broken(*_: Any, **__: Any) -> torch.Tensor:
    raise RuntimeError("Failed to find C compiler.\nPlease specify one.")


def wrong(_ring: Any, _layer: int, query: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return torch.full_like(query, float("nan"))


@pytest.mark.parametrize(
    ("replacement", "reason"),
    [(broken, "cannot run (Failed to find C compiler. Please specify one)"), (wrong, "its result differs by nan")],
)
@pytest.mark.parametrize("wanted", ["auto", "triton"])
def test_kernels_that_fail_or_are_wrong_are_not_used(
    checkpoint: Path, replacement: Any, reason: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says why; `auto` continues with PyTorch's attention."""
    monkeypatch.setattr(ring_attention, "ring_attention", replacement)
    monkeypatch.setattr(attention_choice, "_obstacle", lambda *_: None)
    model = loaded(checkpoint, attention=wanted)._model
    if wanted == "triton":
        with pytest.raises(StartupError) as caught:
            model.warm_up({DELAY_TOKENS})
        assert reason in str(caught.value)
        return
    with capture_logs() as logs:
        model.warm_up({DELAY_TOKENS})
    assert model.attention == "sdpa"
    assert [reason in log["reason"] for log in logs if log["event"] == "attention_chosen"] == [True, True]


def test_kernels_that_cannot_be_built_are_not_used(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_attention, "RingAttention", broken)
    monkeypatch.setattr(attention_choice, "_obstacle", lambda *_: None)
    model = loaded(checkpoint)._model
    model._choose_kernels()
    assert model.attention == "sdpa"


@pytest.mark.parametrize(("torch_ms", "triton_ms", "chosen"), [(2.0, 1.0, "triton"), (1.0, 1.5, "sdpa")])
def test_faster_attention_is_used(
    checkpoint: Path, torch_ms: float, triton_ms: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU has no CUDA events to measure with, so the times are given."""
    times_ms = iter([torch_ms, triton_ms] * 2)
    monkeypatch.setattr(attention_choice, "_obstacle", lambda *_: None)
    monkeypatch.setattr(attention_choice, "_timed_ms", lambda *_: next(times_ms))
    model = loaded(checkpoint)._model
    model._choose_kernels()
    assert model.attention == chosen


def test_times_are_those_of_the_gpu_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA stands for a machine with two GPUs here: an event that is recorded is of the current one."""
    current = [0]
    recorded: list[int] = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            recorded.append(current[-1])

        def synchronize(self) -> None:
            pass

        def elapsed_time(self, _end: object) -> float:
            return 2.5

    @contextmanager
    def device(wanted: torch.device) -> Iterator[None]:
        current.append(wanted.index)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", device)
    assert attention_choice._timed_ms(lambda: torch.ones(1), torch.device("cuda:1")) == 2.5
    assert set(recorded) == {1}


def test_named_attention_of_pytorch_is_kept(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_choice, "_obstacle", lambda *_: None)
    model = loaded(checkpoint, attn_implementation="eager")._model
    model._choose_kernels()
    assert model.attention == "eager"
