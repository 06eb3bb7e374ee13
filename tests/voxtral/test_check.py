"""What `python -m worker.check`, and so `voxtral doctor`, says of a Voxtral model: one sentence."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.tiny.voxtral import write_checkpoint
from worker import check
from worker.engines.loading import checkpoints
from worker.engines.loading.huggingface import downloads

NAME = "mistralai/Voxtral-Mini-3B-2507"
Check = Callable[..., dict[str, object]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def checkpoint(written: Path, tmp_path: Path) -> Path:
    return shutil.copytree(written, tmp_path / "copy")


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Runs the check with a model's settings; what it reports."""

    def run(spectrogram: dict[str, int] | None = None, **model: object) -> dict[str, object]:
        config = tmp_path / "config.yaml"
        sections = {"model": {"name": NAME, "device": "cpu", "threads": 1} | model, "spectrogram": spectrogram or {}}
        config.write_text(yaml.safe_dump(sections))
        monkeypatch.setenv("VOXTRAL_CONFIG", str(config))
        monkeypatch.setattr(downloads, "forbidden", downloads.forbidden)  # the check sets it for its process
        status = check.main()
        report = json.loads(capsys.readouterr().out)
        assert status == (0 if report["ok"] else 1)
        assert report["detail"].count("\n") == 0
        return report

    return run


def test_model_that_runs_is_described(said: Check, checkpoint: Path) -> None:
    report = said(path=str(checkpoint))
    assert report["ok"] is True
    assert str(report["detail"]).startswith(f"{NAME} on cpu (float32), 16 slots, loaded in ")


def test_missing_directory_is_named(said: Check, tmp_path: Path) -> None:
    assert "which is not a directory" in str(said(path=str(tmp_path / "nowhere"))["detail"])


def test_missing_library_is_named(said: Check, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    detail = said(path=str(checkpoint))["detail"]
    assert detail == (
        f"Setting model.name is '{NAME}', which needs the package torch, but it is not installed; "
        "install it with `pip install -r requirements/voxtral.txt` or choose another model."
    )


def test_missing_cuda_is_reported(said: Check, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "sees no CUDA device" in str(said(path=str(checkpoint), device="cuda")["detail"])


def test_other_architecture_is_named(said: Check, checkpoint: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"model_type": "voxtral_realtime"}))
    assert "is of type 'voxtral_realtime'" in str(said(path=str(checkpoint))["detail"])


def test_too_little_memory_is_reported(said: Check, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "free_memory_bytes", lambda device: 20_000_000)
    assert "Setting model.slots is 4096, which needs" in str(said(path=str(checkpoint), slots=4096)["detail"])
    monkeypatch.setattr(checkpoints, "free_memory_bytes", lambda device: 0)
    assert "but this machine has 0.0 GB free" in str(said(path=str(checkpoint))["detail"])


def test_spectrogram_of_another_model_is_rejected(said: Check, checkpoint: Path) -> None:
    assert "Setting spectrogram.n_mels is 80" in str(said({"n_mels": 80}, path=str(checkpoint))["detail"])
