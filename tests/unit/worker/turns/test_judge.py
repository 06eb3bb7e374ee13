"""Asking Smart Turn: a model that fails gives no answer, and the plain pause rule decides."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from worker.model_files import ModelFile
from worker.speakers.onnx_file import Node, Value, onnx_file
from worker.turns import smart_turn
from worker.turns.judge import TurnJudge

PCM = np.zeros(16_000, np.float32)
WITHOUT_FEATURES = onnx_file([Node("Abs", ["pcm"], ["output"], {})], {}, [Value("pcm", [1])], [Value("output", [1])])


def use(content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "model.onnx"
    path.write_bytes(content)
    file = ModelFile(str(path), "none==1", "", "none", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(smart_turn, "SMART_TURN", file)


def test_failed_question_has_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(WITHOUT_FEATURES, tmp_path, monkeypatch)
    judge = TurnJudge()
    assert judge.ask(PCM).result(60) is None
    assert judge.is_installed


def test_model_that_cannot_be_loaded_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(b"no model", tmp_path, monkeypatch)
    judge = TurnJudge()
    assert judge.ask(PCM).result(60) is None
    assert not judge.is_installed
