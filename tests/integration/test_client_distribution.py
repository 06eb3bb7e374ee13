"""The client as a distribution of its own: small, without the server, and three lines long in use."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import websockets

from tests.integration.native_clients import wav
from tests.limits import limit_s
from tests.stack import PROJECT, Stack

FOLDER = PROJECT / "frontend" / "client"
LIMIT_BYTES = 5_000_000
PROGRAM = """
from voxtral_client import transcribe
reply = transcribe("speech.wav", "{url}")
print(reply.text)
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=limit_s(60), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since setuptools writes into its source folder."""
    folder = tmp_path_factory.mktemp("client")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    shutil.copytree(FOLDER, folder / "source", ignore=ignored)
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"),
        *("--wheel-dir", folder, folder / "source"),
        cwd=folder,
    )
    (built,) = folder.glob("voxtral_client-*.whl")
    return built


def test_wheel_holds_the_client_and_its_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))

    assert {name.split("/")[0].partition("-")[0] for name in names} == {"voxtral_client"}
    assert "voxtral_client/py.typed" in names
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    assert [line.removeprefix("Requires-Dist: ").partition(">")[0] for line in needed] == ["websockets"]


def test_empty_environment_transcribes_a_file_in_three_lines(stack: Stack, wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    (packages,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    shutil.copytree(Path(websockets.__file__).parent, packages / "websockets")  # the one dependency, as pip would
    (tmp_path / "speech.wav").write_bytes(wav(1))

    text = run(python, "-W", "error", "-c", PROGRAM.format(url=stack.web_url), cwd=tmp_path)

    assert "1 seconds" in text
    assert sum(file.stat().st_size for file in packages.rglob("*") if file.is_file()) < LIMIT_BYTES
