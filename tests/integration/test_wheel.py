"""The project as a wheel: everything that starts the service is in it, and starts it from any folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from shared.version import VERSION
from tests.limits import limit_s
from tests.stack import PROJECT, free_ports

CANNOT_START = 78
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "Procfile", "config.yaml")
PACKAGES = ("compose", "frontend", "shared", "worker")
STARTED = "import sys; from frontend.cli.start import main; sys.argv[0] = 'voxtral'; main()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contents of the wheel, built from a copy: setuptools writes into its source folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        shutil.copytree(PROJECT / name, source / name, symlinks=True, ignore=ignored)
    for name in SOURCES:
        shutil.copy(PROJECT / name, source / name)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"),
            *("--wheel-dir", folder, source),
        ],
        capture_output=True,
        text=True,
        timeout=limit_s(100),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(folder / f"voxtral_realtime_streaming-{VERSION}-py3-none-any.whl") as wheel:
        wheel.extractall(folder / "installed")
    return folder / "installed"


def test_wheel_holds_what_starts_the_service_and_the_client(installed: Path) -> None:
    for name in ("Procfile", "config.yaml"):
        assert (installed / "compose" / name).read_text() == (PROJECT / name).read_text()
        assert not (installed / "compose" / name).is_symlink()
    assert (installed / "voxtral_client" / "py.typed").is_file()
    assert (installed / "frontend" / "static" / "index.html").is_file()
    assert (installed / "frontend" / "operator-page" / "index.html").is_file()
    assert not list(installed.glob("frontend/client/src"))
    (entry,) = installed.glob("*.dist-info/entry_points.txt")
    assert "voxtral = frontend.cli.start:main" in entry.read_text()


def serve(installed: Path, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `voxtral serve` of the wheel in a folder whose modules have the names of ours."""
    for name in PACKAGES:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise SystemExit('not ours')")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VOXTRAL_", "REDIS_URL"))}
    return subprocess.run(
        [sys.executable, "-P", "-c", STARTED, "serve", *arguments],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(installed)} | variables,
        capture_output=True,
        text=True,
        timeout=limit_s(60),
        check=False,
    )


def test_serve_starts_from_any_folder(installed: Path, tmp_path: Path) -> None:
    """The launcher gets as far as its checks; tests/integration/test_launch.py follows it from there."""
    port = str(free_ports(1)[0])
    done = serve(installed, tmp_path, VOXTRAL_FLOWER__PORT=port, VOXTRAL_SERVER__HTTP_PORT=port)

    assert done.stderr == f"Settings server.http_port and flower.port both name port {port}.\n"
    assert done.returncode == CANNOT_START


def test_serve_shows_its_settings_from_any_folder(installed: Path, tmp_path: Path) -> None:
    assert serve(installed, tmp_path, "--show-config").stdout == (PROJECT / "config.yaml").read_text()
