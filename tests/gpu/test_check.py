"""The check of a GPU runs without one, and a fault that it looks for is found and named."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.gpu.__main__ import main
from tests.gpu.calculate import markdown
from tests.gpu.memory import Reading, check_memory
from tests.gpu.pass_checks import check_passes
from tests.gpu.report import Report, Status, table
from tests.gpu.serve import main as serve
from tests.gpu.sessions import Speaker, load_tiny, play, scenes, token_errors
from tests.gpu.shape import documented
from tests.gpu.speech_checks import CPU_LOAD, Speech, alone, check_speech, speakers_of
from worker.engines.cuda_graphs import Replay
from worker.engines.voxtral_realtime.passes import Passes
from worker.engines.voxtral_realtime.ring import Ring

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report(tmp_path / "found.json", {})


@pytest.fixture(scope="module")
def tiny() -> Any:
    engine = load_tiny("cpu", torch_dtype="float32")
    engine.warm_up()
    return engine


class AsTheyAre:
    """Stands for the recorder of a GPU: what it replays is the pass itself, or one that goes wrong."""

    def __init__(self, error: int) -> None:
        self._error = error

    def record(self, run: Replay) -> Replay:
        return lambda: run() + self._error


def test_command_runs_without_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "found" / "check.json"
    short = ["--windows", "64", "--passes", "1", "--dtypes", "bfloat16"]
    assert main(["--device", "cpu", *short, "--result", str(path)]) == 0
    written = json.loads(path.read_text())
    assert written["passed"] is True
    assert {"device", "driver", "torch", "commit", "version"} <= set(written["about"])
    assert [row["sessions"] for row in written["passes"]] == [1, 2]
    by_status = {status: [one for one in written["checks"] if one["status"] == status] for status in Status}
    assert not by_status[Status.FAILED]
    names = [one["name"] for one in by_status[Status.PASSED]]
    assert any(name.startswith("tiny checkpoint, bfloat16: sessions that join and leave") for name in names)
    assert all(len(one["found"].split()) > 4 for one in by_status[Status.SKIPPED]), "each says why in a sentence"
    assert "written to" in capsys.readouterr().out


@pytest.mark.parametrize("command", [main, serve])
def test_command_checks_a_gpu_unless_it_is_told_otherwise(
    command: Callable[[Sequence[str]], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A check of a GPU that runs on the CPU would pass, whatever is wrong with the GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command([]) == 2
    assert "sees no CUDA device" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert command(["--device", "cuda:7"]) == 2
    assert "--device is cuda:7, but this machine has only cuda:0, cuda:1." in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        command(["--device", "gpu"])
    assert "'gpu' is not cpu, cuda or cuda with a number" in capsys.readouterr().err


def test_fault_is_a_failed_check(tiny: Any, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that moves leaves its keys and values behind."""
    speakers = speakers_of(CPU_LOAD)
    speech = Speech(speakers, CPU_LOAD.together, alone(tiny, speakers))
    monkeypatch.setattr(Ring, "copy_row", lambda *_: None)
    check_speech(report, "tiny", tiny, speech)
    failed = [one for one in report.checks if one.status is Status.FAILED]
    assert "tiny: sessions that join and leave while others speak say what each says alone" in [
        one.name for one in failed
    ]
    assert failed[0].expected == "at most 1% of the tokens differ"
    assert "tokens differ" in failed[0].found
    assert report.conclude() == 1


def test_part_that_raises_is_a_failed_check_and_the_next_part_runs(report: Report) -> None:
    with report.part("first"):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")
    with report.part("second"):
        report.expect("something", True, expected="yes", found="yes")
    assert [one.status for one in report.checks] == [Status.FAILED, Status.PASSED]
    assert "illegal memory access" in report.checks[0].found
    assert json.loads(report.path.read_text())["passed"] is False
    assert report.conclude() == 1


@pytest.mark.parametrize(("error", "status"), [(0, Status.PASSED), (1, Status.FAILED)])
def test_replayed_pass_is_compared_with_one_from_python(tiny: Any, report: Report, error: int, status: Status) -> None:
    model = tiny._model
    plain = model._passes
    model._passes = Passes(model._pass, model._rows, model._memory.text.length, AsTheyAre(error))
    try:
        with torch.inference_mode():
            model._passes.warm_up(lambda _done, _count: None)
        check_passes(report, "tiny", model, few=True)
    finally:
        model._passes = plain
    [replayed] = [one for one in report.checks if "replayed graph" in one.name]
    assert replayed.status is status
    if error:
        assert "1 rows × 128 positions: tokens (1 of 1 differ, by up to 1)" in replayed.found


def test_passes_leave_the_engine_as_it_was(tiny: Any, report: Report) -> None:
    speaker = Speaker(scenes(1, 2)[0], 480)
    before = play(tiny, [speaker])
    check_passes(report, "tiny", tiny._model, few=True)
    after = play(tiny, [speaker])
    assert before[0].tokens
    assert token_errors(before, after) == 0


def test_memory_that_grows_is_noticed(report: Report) -> None:
    gb = 10**9
    readings = [Reading("after the warm-up", gb, gb, 9 * gb), Reading("after all sessions", gb + 2**21, gb, 9 * gb)]
    check_memory(report, "model", [None, *readings])
    grown, free = report.checks
    assert (grown.status, free.status) == (Status.FAILED, Status.PASSED)
    assert grown.found.startswith("2.1 MB more of tensors")


def test_table_has_a_line_for_each_row() -> None:
    assert table([{"sessions": 1, "ms": 2.3456}, {"sessions": 16, "ms": None}]).splitlines() == [
        "sessions    ms",
        "       1  2.35",
        "      16  None",
    ]


def test_measured_line_fits_the_table_of_the_documentation() -> None:
    about = {"device": "NVIDIA L40S", "driver": "580.1", "torch": "2.13.0+cu130", "commit": "0123456789abcdef"}
    found = [
        {"sessions": 1, "p50 ms": 15.04, "p99 ms": 16.0, "floor ms": 10.7},
        {"sessions": 64, "p50 ms": 55.4, "p99 ms": 59.9, "floor ms": 40.0},
        {"sessions": 83, "p50 ms": 70.0, "p99 ms": 75.0, "floor ms": 50.0},
    ]
    line = documented(about, {"window": 2048, "slots": 83, "sessions in 60 ms": 64}, found)
    measured_on = "measured on NVIDIA L40S, driver 580.1, torch 2.13.0+cu130, 0123456789ab"
    assert line == f"| NVIDIA L40S | 2048 | 83 | 64 | 15.0 ms (10.7) | 55 ms | 655 ms | {measured_on} |"
    assert line.count("|") == markdown()[0].count("|")
