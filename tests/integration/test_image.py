"""The image's file, as far as it can be checked without building it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.config.settings import load_settings
from tests.image.build import DOCKERFILE, configuration, context_files, read_stages, sources

STAGES = read_stages()


def test_sources_of_each_copy_are_in_the_context() -> None:
    files = context_files()
    for stage in STAGES.values():
        for word, value in stage.steps:
            if word == "COPY":
                origin, names, _ = sources(value)
                assert origin is None or origin in STAGES
                for name in names if origin is None else []:
                    assert any(file == name or file.startswith(f"{name}/") for file in files), name


def test_context_has_neither_tests_nor_documents() -> None:
    assert {file.partition("/")[0] for file in context_files()} == {
        *("requirements", "shared", "frontend", "worker", "compose"),
        *("pyproject.toml", "README.md", "config.yaml", "Procfile"),
    }


def test_modules_are_compiled_since_processes_cannot_write_beside_them() -> None:
    [command] = [value for word, value in STAGES["build"].steps if word == "RUN" and "compileall" in value]
    copied = {file.partition("/")[0] for file in context_files() if file.endswith(".py")}
    assert copied <= set(command.split("compileall")[1].split())


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_process_is_not_root_and_writes_to_data(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = configuration(target)
    assert image.user == "10001"
    assert image.command == ["python", "-m", "compose.launch"]
    assert image.healthcheck == ["python", "-m", "compose.healthcheck"]
    for name, value in image.env.items():
        if name.startswith("VOXTRAL_"):
            monkeypatch.setenv(name, value)
    settings = load_settings()
    assert str(settings.logs.dir) == "/data/logs"
    assert str(settings.redis.data_dir) == "/data/redis"
    exposed = {
        word for line in DOCKERFILE.read_text().splitlines() if line.startswith("EXPOSE") for word in line.split()
    }
    ports = {settings.server.http_port, settings.server.health_port, *settings.server.tcp_ports}
    assert exposed - {"EXPOSE"} == {str(port) for port in ports}


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert program is not None
    folder = DOCKERFILE.parent.parent
    found = subprocess.run(
        [program, "--config", ".hadolint.yaml", DOCKERFILE], check=False, cwd=folder, capture_output=True, text=True
    )
    assert (found.returncode, found.stdout) == (0, "")
