"""The names that the service shows for Whisper models."""

from pathlib import Path

import pytest

from shared.whisper_models import shown_name


@pytest.mark.parametrize(
    ("name", "path", "shown"),
    [
        ("whisper-small.en", None, "whisper-small.en"),
        ("whisper-turbo", None, "whisper-large-v3-turbo"),
        ("whisper-small.en", "our/whisper", "whisper-small.en"),
        ("whisper", "our/whisper", "our/whisper"),
        ("whisper", "small.en", "whisper-small.en"),
        ("whisper-base", "turbo", "whisper-large-v3-turbo"),
        ("whisper", "distil-large-v3", "whisper-distil-large-v3"),
        ("whisper", "unknown", "unknown"),
    ],
)
def test_name_is_that_of_the_model_wherever_its_files_come_from(name: str, path: str | None, shown: str) -> None:
    assert shown_name(name, path) == shown


def test_directory_gives_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.en").mkdir()
    assert shown_name("whisper", str(tmp_path / "small.en")) == "small.en"
    monkeypatch.chdir(tmp_path / "small.en")
    assert shown_name("whisper", ".") == "small.en"
