"""The voices that `voxtral speakers` keeps: their file, and what a session gets of them."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from frontend.cli import speakers
from frontend.cli.choices import Choices
from frontend.cli.main import cli
from shared.voices import encoded

ANN, BO = encoded("ge2e", b"\x00\x3c" * 4), encoded("ge2e", b"\x00\x38" * 4)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "voxtral" / "speakers.json"


@pytest.fixture
def both(path: Path) -> Path:
    path.parent.mkdir()
    path.write_text(json.dumps({"Ann": ANN, "Bo": BO}))
    return path


def test_nobody_is_enrolled_at_first(path: Path) -> None:
    assert speakers.enrolled() == {}
    assert not path.exists()


def test_removed_speakers_are_gone_and_only_the_user_may_read_the_rest(both: Path) -> None:
    done = CliRunner().invoke(cli, ["speakers", "remove", "Ann"])
    assert (done.exit_code, done.output) == (0, "")
    assert speakers.enrolled() == {"Bo": BO}
    assert stat.S_IMODE(both.stat().st_mode) == 0o600
    assert [one.name for one in both.parent.iterdir()] == ["speakers.json"]
    assert CliRunner().invoke(cli, ["speakers", "list"]).output == "Bo\n"


@pytest.mark.usefixtures("both")
def test_speaker_that_is_named_twice_is_removed_once() -> None:
    done = CliRunner().invoke(cli, ["speakers", "remove", "Ann", "Ann"])
    assert (done.exit_code, done.output) == (0, "")
    assert speakers.enrolled() == {"Bo": BO}


@pytest.mark.usefixtures("both")
def test_unknown_speakers_are_named_with_those_that_are_known() -> None:
    done = CliRunner().invoke(cli, ["speakers", "remove", "Bo", "Cy"])
    assert done.exit_code == 1
    assert "No speaker 'Cy' is enrolled; enrolled: Ann." in done.output
    assert speakers.enrolled().keys() == {"Ann", "Bo"}, "none is removed"


@pytest.mark.parametrize("content", ["{", "[]", '{"Ann": 1}', '{"Ann": "ge2e:?"}'])
def test_damaged_file_is_explained(both: Path, content: str) -> None:
    both.write_text(content)
    with pytest.raises(speakers.SpeakersError, match="delete it and enroll again"):
        speakers.enrolled()


@pytest.mark.parametrize("name", ["all", "a,b", " ", "x" * 101, "a\nb"])
def test_names_that_options_could_not_tell_apart_are_rejected(path: Path, name: str) -> None:
    done = CliRunner().invoke(cli, ["speakers", "enroll", name, "voice.wav"])
    assert done.exit_code == 2
    assert "1 to 100 characters without commas" in done.output
    assert not path.exists()


@pytest.mark.usefixtures("both")
def test_sessions_get_the_speakers_that_are_wanted() -> None:
    bo = {"name": "Bo", "embedding": BO}
    assert wanted() == (None, None, None)
    assert wanted(known_speakers=("Bo",)) == (True, None, [bo])
    assert wanted(known_speakers=("all",)) == (True, None, [{"name": "Ann", "embedding": ANN}, bo])
    assert wanted(known_speakers=("Bo", "all")) == (True, None, [bo, {"name": "Ann", "embedding": ANN}])
    assert wanted(max_speakers=2) == (True, 2, None)


def wanted(**given: Any) -> tuple[Any, Any, Any]:
    options = Choices(others=given).of_sessions
    return options["diarize"], options.get("max_speakers"), options["known_speakers"]
