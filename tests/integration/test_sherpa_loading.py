"""What stands in the way of a sherpa-onnx model is one sentence at the start, and its name is the one that was set."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.config.settings import Settings
from shared.errors import StartupError
from tests.forking import captured
from tests.sherpa_kinds import write_nemo
from tests.sherpa_models import set_metadata, write_ctc, write_tokens, write_transducer
from tests.stack import PROJECT
from worker.engines.base import Engine
from worker.engines.registry import load_engine


def loaded(path: Path | None, spectrogram: dict[str, int] | None = None, **model: Any) -> Engine:
    values = {"name": "sherpa", "path": path, "threads": 1} | model
    return load_engine(Settings(model=values, spectrogram=spectrogram or {}))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["sherpa", "sherpa:english", "sherpa:a/b c"])
def test_engine_runs_under_the_name_that_it_is_given(tmp_path: Path, name: str) -> None:
    info = loaded(write_ctc(tmp_path), name=name, slots=5).info
    assert (info.engine, info.model, info.device, info.slots) == ("sherpa", name, "cpu", 5)


def test_precision_is_that_of_the_files(tmp_path: Path) -> None:
    info = loaded(write_transducer(tmp_path, suffix=".int8")).info
    assert (info.compute_type, info.slots) == ("int8", 16)


def test_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"model\.device is 'cuda', but sherpa runs on the CPU; allowed: auto, cpu"):
        loaded(write_ctc(tmp_path), device="cuda")


@pytest.mark.parametrize("setting", ["torch_dtype", "compute_type"])
def test_precision_is_not_chosen_by_a_setting(tmp_path: Path, setting: str) -> None:
    with pytest.raises(StartupError, match=rf"model\.{setting} is 'float16', but sherpa .*files; allowed: auto\."):
        loaded(write_ctc(tmp_path), **{setting: "float16"})


def test_missing_model_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"model\.name is 'sherpa:x', which needs model\.path"):
        loaded(None, name="sherpa:x")
    with pytest.raises(StartupError, match=r"lacks encoder\*\.onnx or model\*\.onnx and tokens\.txt"):
        loaded(tmp_path)


@pytest.mark.parametrize("write", [write_transducer, write_nemo])
def test_missing_joiner_is_named(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    (write(tmp_path) / "joiner.onnx").unlink()
    with pytest.raises(StartupError, match=r"model\.path is .*, which lacks joiner\*\.onnx; allowed: tokens\.txt with"):
        loaded(tmp_path)


def test_missing_library_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sherpa_onnx", None)
    with pytest.raises(StartupError, match="needs the package sherpa-onnx"):
        loaded(write_ctc(tmp_path))


def test_other_names_are_refused_and_this_one_is_among_the_allowed() -> None:
    with pytest.raises(StartupError, match=r"model\.name is 'sherpas'; allowed: .*, sherpa, "):
        loaded(None, name="sherpas")


def test_spectrogram_that_differs_is_refused_with_both_values(tmp_path: Path) -> None:
    agreed = {"n_mels": 80, "hop_length": 160, "win_length": 400, "n_fft": 512}
    loaded(write_ctc(tmp_path), agreed)
    for key, value in agreed.items():
        with pytest.raises(
            StartupError, match=rf"spectrogram\.{key} is {value + 1}, but the model sherpa uses {value};"
        ):
            loaded(tmp_path, agreed | {key: value + 1})


def test_model_that_the_library_cannot_run_is_refused(tmp_path: Path) -> None:
    write_transducer(tmp_path)
    write_ctc(tmp_path / "other")
    (tmp_path / "joiner.onnx").write_bytes((tmp_path / "other" / "model.onnx").read_bytes())
    with pytest.raises(StartupError, match=r"The model in .* cannot be loaded by sherpa-onnx: "):
        loaded(tmp_path)


def checked(path: Path) -> tuple[int, dict[str, Any]]:
    """`python -m worker.check`, which `voxtral doctor` shows."""
    variables = {"VOXTRAL_MODEL__NAME": "sherpa:marks", "VOXTRAL_MODEL__PATH": str(path)}
    done = captured("worker.check", folder=PROJECT, env=os.environ | variables)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_check_says_what_runs(tmp_path: Path) -> None:
    code, said = checked(write_ctc(tmp_path))
    assert code == 0
    assert said["detail"].startswith("sherpa:marks on cpu (float32), 16 slots, loaded in ")


def test_check_says_what_is_missing(tmp_path: Path) -> None:
    write_tokens(tmp_path)
    code, said = checked(tmp_path)
    assert code == 1
    assert "lacks encoder*.onnx or model*.onnx; allowed: tokens.txt with" in said["detail"]
    set_metadata(write_ctc(tmp_path) / "model.onnx", {})
    code, said = checked(tmp_path)
    assert code == 1
    assert "its model_type is 'missing'" in said["detail"]
