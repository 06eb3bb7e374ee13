"""Decode steps that are recorded, and what happens when they cannot be."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from structlog.testing import capture_logs
from torch import Tensor
from transformers import VoxtralForConditionalGeneration

from shared.errors import StartupError
from tests.engine_sessions import drained, finals
from tests.fake_device import DEVICE, Counting, fake_device
from tests.replaying import ReplayRecorder
from tests.tiny.vocabulary import VOCABULARY_SIZE
from tests.tiny.voxtral import tiny_config, write_checkpoint
from tests.voxtral.driving import SLOTS, answer_text, asked, loaded, samples
from tests.voxtral.reference import Reference, murmur
from worker.engines.cuda_graphs import CudaRecorder
from worker.engines.voxtral.engine import VoxtralEngine
from worker.engines.voxtral.kv import KvMemory, KvShape
from worker.engines.voxtral.passes import Passes
from worker.engines.voxtral.rows import FIRST_BLOCK, SHORT_ROW_TOKENS, RowPlan
from worker.engines.voxtral.steps import RunningRow, Steps, recorded_batches, recorded_lengths, recorded_steps

Recorder = ReplayRecorder | CudaRecorder | None


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def cold(directory: Path) -> VoxtralEngine:
    return loaded(directory)


@pytest.fixture
def warmed(cold: VoxtralEngine, monkeypatch: pytest.MonkeyPatch) -> Callable[[Recorder], Passes]:
    def warm(recorder: Recorder) -> Passes:
        passes = cold._generator._passes
        monkeypatch.setattr(passes, "_steps", Steps(passes._step, SLOTS, torch.device("cpu"), recorder))
        cold.warm_up()
        return passes

    return warm


class StepCounter:
    """Keeps nothing of what it records, as a CUDA graph keeps no tensor."""

    def record(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        run()
        return lambda: torch.empty(0)


def answers(engine: VoxtralEngine, *seconds: float, limit: int = 25) -> list[str]:
    """What several sessions are told that start together and end one after another."""
    for number, length_s in enumerate(seconds):
        engine.open("abcdefgh"[number], asked("Why?", limit=limit + 5 * number))
        engine.feed("abcdefgh"[number], samples(murmur(80 + number, length_s)))
        engine.finish("abcdefgh"[number])
    outputs = drained(engine)
    for session_id in outputs:
        engine.close(session_id)
    return [finals(outputs[session_id])[0].text for session_id in sorted(outputs)]


def test_replayed_steps_equal_generate(
    cold: VoxtralEngine, warmed: Callable[[Recorder], Passes], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = warmed(recorder := ReplayRecorder())
    assert recorder.recorded == 6 * 3 + 4 * 4
    assert cold.info.passes == "decode steps replayed as CUDA graphs; layers not compiled"
    plain, eager = passes._steps._step, list[int]()

    def step(block: Tensor, places: Tensor, length: int) -> Tensor:
        eager.append(len(places))
        return plain(block, places, length)

    monkeypatch.setattr(passes._steps, "_step", step)
    recorder.replayed = 0
    reference = Reference(directory)
    lengths_s = (2, 3, 4, 29, 1)
    expected = [
        answer_text(reference, murmur(80 + number, length_s), "Why?", limit=25 + 5 * number)
        for number, length_s in enumerate(lengths_s)
    ]
    assert answers(cold, *lengths_s) == expected
    assert recorder.replayed > 10
    assert eager == []
    assert answers(cold, 3, limit=1024) == [answer_text(reference, murmur(80, 3), "Why?", limit=1024)]
    assert eager == [], "a question that sets no limit has longer rows"
    assert answers(cold, 155) == [answer_text(reference, murmur(80, 155), "Why?", limit=25)]
    assert set(eager) == {1}, "rows that come and go with their memory are not recorded"


def test_recorded_steps_go_with_the_memory_of_their_rows() -> None:
    steps = Steps(lambda block, _places, _length: block[0, 0, :, 0, 0], SLOTS, torch.device("cpu"), StepCounter())
    stays, goes = (torch.zeros(2, 1, rows, 1, 1024, 1) for rows in (SLOTS, 3))
    steps.warm_up([stays, goes], lambda _done, _count: None)
    assert [len(replays) for replays in steps._replays.values()] == [6 * 3, 3 * 3]
    steps.run(goes, [RunningRow(0, 1, 5)])
    del goes
    assert [len(replays) for replays in steps._replays.values()] == [6 * 3]
    with capture_logs() as logs:
        for _ in range(2):
            steps.run(torch.zeros(2, 1, 3, 1, 1024, 1), [RunningRow(0, 1, 5)])
    assert [log["event"] for log in logs] == ["recorded_steps_freed"]


def test_last_step_that_cannot_be_recorded_is_told_like_any_other() -> None:
    recorder = ReplayRecorder(1 * 3 - 1, RuntimeError("capture failed"))
    steps = Steps(lambda block, _places, _length: block[0, 0, :, 0, 0], SLOTS, torch.device("cpu"), recorder)
    with capture_logs() as logs:
        steps.warm_up([torch.zeros(2, 1, 1, 1, 1024, 1)], lambda _done, _count: None)
    assert [log["event"] for log in logs] == ["steps_not_recorded"]
    assert not steps.recorded


def test_step_that_reads_on_the_host_is_not_recorded() -> None:
    read = torch.inference_mode()(lambda: torch.ones(2) * float(torch.ones(2).max()))
    with pytest.raises(RuntimeError, match="aten::item"):
        ReplayRecorder().record(read)


@pytest.mark.parametrize("recorder", [ReplayRecorder(4, RuntimeError("capture\nfailed")), "cuda"])
def test_steps_that_cannot_be_recorded_run_from_python(
    cold: VoxtralEngine, warmed: Callable[[Recorder], Passes], recorder: ReplayRecorder | str
) -> None:
    """A machine that tests has no CUDA, which fails as well."""
    if recorder == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine records passes")
    warmed(None)
    plain = answers(cold, 2, 3)
    with capture_logs() as logs:
        warmed(recorder if isinstance(recorder, ReplayRecorder) else CudaRecorder(torch.device("cuda:0")))
    assert [(log["event"], log["log_level"]) for log in logs] == [("steps_not_recorded", "error")]
    assert "model.cuda_graphs" in logs[0]["message"]
    assert cold.info.passes == "decode steps run from Python; layers not compiled"
    assert answers(cold, 2, 3) == plain


def test_too_little_memory_for_recording_names_the_slots(warmed: Callable[[Recorder], Passes]) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory.")
    with pytest.raises(StartupError, match="too little memory for 8 slots"):
        warmed(ReplayRecorder(3, error))


def test_recorded_shapes_cover_every_step() -> None:
    assert recorded_batches(5) == [1, 2, 3, 4, 5]
    assert recorded_batches(1) == [1]
    assert recorded_lengths(SHORT_ROW_TOKENS) == [512, 640, 1024]
    assert recorded_lengths(2 * SHORT_ROW_TOKENS) == [512, 640, 1024, 2048]
    assert recorded_steps(3, SHORT_ROW_TOKENS) == 3 * 3


def test_step_needs_nothing_of_the_host() -> None:
    """On a fake device whose tensors have no values: what waits for one, or has a shape that depends on one, fails."""
    with torch.device("meta"):
        model = VoxtralForConditionalGeneration(tiny_config(4096)).eval().bfloat16()
    plan = RowPlan(SLOTS, 64 * SHORT_ROW_TOKENS)
    with fake_device():
        model._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device=DEVICE))
        shape = KvShape.of(model.config.text_config, torch.bfloat16)
        block = KvMemory(shape, DEVICE, plan.blocks).block(FIRST_BLOCK)
        passes = Passes(model, SLOTS, None)
        places = torch.zeros(3, 3, dtype=torch.long, device=DEVICE)
        with Counting() as counting:
            scores = passes._step(block, places, 512)
    assert scores.shape == (3, VOCABULARY_SIZE)
    assert counting.devices == {DEVICE}
