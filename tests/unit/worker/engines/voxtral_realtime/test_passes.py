"""Passes that are recorded, and what happens when they cannot be."""

import pytest
import torch
from structlog.testing import capture_logs
from torch import Tensor

from shared.errors import StartupError
from tests.replaying import ReplayRecorder
from worker.engines.cuda_graphs import CudaRecorder
from worker.engines.loading.out_of_memory import memory_needed
from worker.engines.voxtral_realtime.passes import Passes, shapes


def ran(batch: int, positions: int) -> Tensor:
    return torch.tensor([batch, positions])


def warm(recorder: ReplayRecorder | CudaRecorder | None, rows: int = 5) -> tuple[Passes, list[tuple[int, int]]]:
    passes, told = Passes(ran, rows, 600, recorder), []
    passes.warm_up(lambda done, count: told.append((done, count)))
    return passes, told


def test_pass_is_replayed_in_the_shape_that_covers_it() -> None:
    batches, positions = shapes(5, 600)
    assert (batches, positions) == ([1, 2, 3, 4, 5], [192, 512, 600])
    passes, told = warm(recorder := ReplayRecorder())
    assert recorder.recorded == 15
    assert told == [(done, 15) for done in range(1, 16)]
    assert passes.run(3, 193).tolist() == [3, 512]
    assert passes.run(5, 10_000).tolist() == [5, 600]


@pytest.mark.parametrize(
    "recorder",
    [
        ReplayRecorder(4, RuntimeError("capture\nfailed")),
        ReplayRecorder(14, RuntimeError("the last one")),
        "cuda",
    ],
)
def test_pass_that_cannot_be_recorded_is_run_from_python(recorder: ReplayRecorder | str) -> None:
    """A machine that tests has no CUDA, which fails as well."""
    if recorder == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine records passes")
    with capture_logs() as logs:
        passes, told = warm(recorder if isinstance(recorder, ReplayRecorder) else CudaRecorder(torch.device("cuda:0")))
    assert [(log["event"], log["log_level"]) for log in logs] == [("passes_not_recorded", "error")]
    assert "lower model.slots" in logs[0]["message"]
    assert len(told) == (recorder.recorded if isinstance(recorder, ReplayRecorder) else 0)
    assert not passes.recorded
    assert passes.shape(3) == 3
    assert passes.run(3, 193).tolist() == [3, 193]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")]
)
def test_too_little_memory_names_the_slots(error: Exception) -> None:
    with (
        pytest.raises(StartupError, match=r"cuda:1 has too little memory for 5 slots .* lower, such as 2, or free"),
        memory_needed(device="cuda:1", slots=5),
    ):
        warm(ReplayRecorder(3, error))


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"), memory_needed(device="cpu", slots=None):
        raise RuntimeError("size mismatch")
    sentence = "This machine has too little memory for the default number of slots"
    with pytest.raises(StartupError, match=sentence), memory_needed(device="cpu", slots=None):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 5 bytes")


def test_passes_of_fewer_rows_are_recorded_once_more_and_those_of_more_are_dropped() -> None:
    passes = Passes(ran, 9, 600, recorder := ReplayRecorder())
    passes.record_largest()
    passes.limit(7)
    passes.record_largest()
    passes.record_largest()
    assert recorder.recorded == 2
    assert passes.run(7, 600).tolist() == [7, 600]
    passes.warm_up(lambda *_: None)
    assert recorder.recorded == 1 + 3 * 6, "six batches with three lengths, one of them recorded before"
    assert (passes.shape(9), passes.shape(5)) == (7, 6)
