"""Benches of recorded speech say what is wrong with their folder and their settings, in one line."""

import os
from pathlib import Path

import pytest

from tests.forking import captured
from tests.stack import PROJECT
from tests.unit.bench.test_clips import folder_with


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Two recordings that the benches do not know."""
    return folder_with(tmp_path, {"id": "anna"}, {"id": "ben", "seconds": 500.0})


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("tests.bench.turns /nowhere", "/nowhere has no manifest.json."),
        ("tests.bench.turns {} --tuning", "{} has no recording that a level was chosen on."),
        ("tests.bench.second_pass", "SPEECH is not set; set it to a folder with recorded speech and a manifest.json."),
        ("tests.bench.speakers {}", "{} lacks ae_ja, ae_pl,"),
        ("tests.bench.speakers {} --clips anna zoe", "{} lacks zoe; --clips names those to use."),
        ("tests.bench.whisper_gpu --device cuda:77", "Setting model.device is 'cuda:77', but"),
    ],
)
def test_fault_is_told_in_one_line(folder: str, command: str, fault: str) -> None:
    module, *arguments = command.format(folder).split()
    env = {name: value for name, value in os.environ.items() if name != "SPEECH"}
    answer = captured(module, arguments, folder=PROJECT, env=env, has_models=True)
    assert answer.returncode == 1
    assert answer.stderr.decode().startswith(fault.format(folder))
    assert len(answer.stderr.splitlines()) == 1


def test_wrong_offsets_are_named(folder: str, tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(PROJECT), "SPEECH": folder, "OFFSETS": "80 -80"}
    answer = captured("tests.bench", ["real-speech"], folder=tmp_path, env=env)
    assert b"real-speech is skipped: OFFSETS is '80 -80'; allowed: milliseconds" in answer.stdout
