"""What stands in the way of Voxtral Realtime is one sentence at the start, and nothing else needs its libraries."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from structlog.testing import capture_logs

from shared.errors import ServerBusyError, StartupError
from shared.session_options import DELAYS_MS, Mode, SessionOptions
from tests.forking import captured
from tests.stack import PROJECT
from tests.tiny import realtime
from tests.tiny.engine import loaded_realtime as loaded
from tests.tiny.vocabulary import write_tokenizer
from worker.engines.registry import REALTIME
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.passes import Passes
from worker.engines.voxtral_realtime.ring import Ring


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return realtime.write_checkpoint(tmp_path / "model")


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_engine_says_what_it_is(checkpoint: Path) -> None:
    info = loaded(checkpoint).info
    assert (info.engine, info.model, info.device, info.compute_type) == ("voxtral_realtime", REALTIME, "cpu", "float32")
    assert info.modes == (Mode.TRANSCRIBE,)
    assert info.slots == 16
    assert "en" in info.languages


def test_spectrogram_that_differs_is_refused_with_both_values(checkpoint: Path) -> None:
    agreed = {"n_mels": 128, "hop_length": 160, "win_length": 400, "n_fft": 400}
    loaded(checkpoint, agreed)
    for key, value in agreed.items():
        with pytest.raises(StartupError, match=rf"spectrogram\.{key} is {value + 1}, but the model .* uses {value};"):
            loaded(checkpoint, agreed | {key: value + 1})


def test_tokenizer_without_streaming_is_refused(checkpoint: Path) -> None:
    write_tokenizer(checkpoint, streaming=False)
    with pytest.raises(StartupError, match=r"tekken\.json is not one of Voxtral Realtime"):
        loaded(checkpoint)


def test_tokenizer_that_is_damaged_is_refused(checkpoint: Path) -> None:
    (checkpoint / "tekken.json").write_text("{}")
    with pytest.raises(StartupError, match=r"tekken\.json cannot be read"):
        loaded(checkpoint)


def test_files_that_disagree_are_refused(checkpoint: Path) -> None:
    path = checkpoint / "tekken.json"
    audio = json.loads(path.read_text())["audio"]
    edit(path, audio=audio | {"audio_encoding_config": audio["audio_encoding_config"] | {"window_size": 512}})
    with pytest.raises(StartupError, match=r"disagree: .* window_size 512, the feature extractor 160 and 400"):
        loaded(checkpoint)


def test_slots_that_do_not_fit_into_memory_are_refused(checkpoint: Path) -> None:
    path = checkpoint / "config.json"
    text = json.loads(path.read_text())["text_config"] | {"sliding_window": 131_072}
    edit(path, text_config=text)
    with pytest.raises(
        StartupError, match=r"model\.slots is 4096, but \d+ slots of 0\.0671 GB fit .* free memory on cpu"
    ):
        loaded(checkpoint, slots=4096, text_window=131_072)
    assert loaded(checkpoint, slots=4096, text_window=64).info.slots == 4096  # the setting cuts the window


@pytest.mark.parametrize("part", ["rings", "warm-up"])
def test_memory_that_runs_out_is_one_sentence(checkpoint: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program takes the memory that was free when slots were counted."""

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(Ring, "__init__" if part == "rings" else "snapshot", full)
    with pytest.raises(StartupError, match=r"This machine has too little memory for 6 slots .* such as 3"):
        loaded(checkpoint, slots=6).warm_up()


def test_engine_says_how_it_runs(checkpoint: Path) -> None:
    engine = loaded(checkpoint)
    assert engine.info.passes == ""
    engine.warm_up()
    assert engine.info.passes == "run from Python; attention: sdpa; layers not compiled"
    assert (engine.info.slots, engine.info.slots_reason) == (16, "memory and time allow 16")
    silences = {id(part.text[0]) for part in engine._model._memory._silence.values()}
    assert len(silences) == len(DELAYS_MS)
    assert engine._model._memory._silent_encoder[0].shape[3] == min(20 + 3 + 9, 4 * 3), "one snapshot for all delays"


def test_slots_are_those_that_are_served_in_time(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes that take 8 ms for each session: seven fit into 60 ms with the host's work."""
    monkeypatch.setattr(BatchedModel, "full_passes_ms", lambda _, batch, *__: [8.0 * batch, 99.0])
    engine = loaded(checkpoint)
    engine.warm_up()
    assert (engine.info.slots, engine.info.slots_reason) == (7, "memory allows 16, time allows 7")
    assert engine._model._passes._batches[-1] == 7
    for number in range(7):
        engine.open(str(number), SessionOptions())
    with pytest.raises(ServerBusyError, match="All 7 slots"):
        engine.open("one too many", SessionOptions())


def test_work_of_the_host_counts_when_slots_are_calibrated(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 ms for each session beside the 8 ms of its passes: six fit into 60 ms."""
    monkeypatch.setattr(BatchedModel, "full_passes_ms", lambda _, batch, *__: [8.0 * batch, 99.0])
    engine = loaded(checkpoint)
    assert engine._host_ms() > 0
    monkeypatch.setattr(engine, "_host_ms", lambda: 1.0)
    engine.warm_up()
    assert (engine.info.slots, engine.info.slots_reason) == (6, "memory allows 16, time allows 6")


def test_slots_that_are_set_are_kept_with_a_warning(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchedModel, "full_passes_ms", lambda _, batch, *__: [8.0 * batch, 99.0])
    engine = loaded(checkpoint, slots=12)
    with capture_logs() as logs:
        engine.warm_up()
    assert (engine.info.slots, engine.info.slots_reason) == (12, "12 set in model.slots, time allows 7")
    [warning] = [log for log in logs if log["log_level"] == "warning"]
    assert warning["event"] == "slots_too_many"
    assert warning["message"].endswith("lower model.slots to 7.")
    silent = loaded(checkpoint, slots=3)
    silent.warm_up()
    assert (silent.info.slots, silent.info.slots_reason) == (3, "")


def test_passes_are_timed_with_full_windows(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a device that takes far too long is not timed for long."""
    engine = loaded(checkpoint, slots=4)
    passes: list[tuple[int, int]] = []
    run = Passes.run
    monkeypatch.setattr(
        Passes, "run", lambda self, *shape, **at: (passes.append((*shape, *at.values())), run(self, *shape, **at))[1]
    )
    assert len(engine._model.full_passes_ms(3, 5, 10_000.0)) == 5
    assert len(passes) == 7
    assert {batch for batch, _ in passes} == {3}
    assert min(positions for _, positions in passes) > engine._model._memory.text.length
    assert len(engine._model.full_passes_ms(2, 5, 0.0)) == 1
    assert len(passes) == 9


def test_doctor_says_in_one_sentence_what_is_wrong(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    config = {"model": {"name": REALTIME, "path": str(checkpoint)}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    report = _checked(VOXTRAL_CONFIG=str(tmp_path / "config.yaml"))
    assert report["ok"] is False
    assert re.fullmatch(r"Setting model\.path is .*, which lacks model\.safetensors\.", report["detail"])


def test_auto_takes_the_gpu_or_says_why_not(tmp_path: Path) -> None:
    """A driver that lists a GPU, and a torch that sees none: no model is chosen in its stead."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100'\n")
    tool.chmod(0o755)
    (tmp_path / "config.yaml").write_text(f"model: {{path: {realtime.write_checkpoint(tmp_path / 'model')}}}")
    variables = {"VOXTRAL_CONFIG": str(tmp_path / "config.yaml"), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    report = _checked(**variables, CUDA_VISIBLE_DEVICES="7")
    assert report["ok"] is False
    assert re.match(r"Setting model\.device is 'cuda:0', but torch .* sees no CUDA device", report["detail"])


def test_base_installation_needs_none_of_the_libraries() -> None:
    """Importing a module whose entry is None fails as if it were not installed."""
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'mistral_common', 'safetensors'): sys.modules[name] = None\n"
        "import frontend.web, frontend.tcp, frontend.websocket, frontend.health, frontend.cli.main, compose.launch\n"
        "import worker.celery_worker\n"
        "from shared.config.settings import Settings\n"
        "from worker.engines.registry import load_engine\n"
        "load_engine(Settings(model={'name': 'whisper-base', 'threads': 1})).warm_up()\n"
        "try: load_engine(Settings(model={'name': 'mistralai/Voxtral-Mini-4B-Realtime-2602'}))\n"
        "except Exception as error: print(error)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "needs the package torch" in answer.stdout.splitlines()[-1]


def _checked(**variables: str) -> dict[str, Any]:
    """What `python -m worker.check` says, which `voxtral doctor` shows."""
    done = captured("worker.check", folder=PROJECT, env=os.environ | variables, has_models=True)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report
