"""The Procfile: read as honcho reads it, and ours names what exists."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from compose.launch import _gpus_of_workers, _programs
from compose.procfile import Program, read_procfile, scaled
from shared import gpus
from shared.config.settings import Settings
from shared.errors import StartupError
from tests.stack import PROJECT


def test_read_procfile_keeps_order_and_splits_commands(tmp_path: Path) -> None:
    path = tmp_path / "Procfile"
    path.write_text("# all of them\nweb: python -m web --name 'a b'\n\nworker-2:  ./work\n")
    assert read_procfile(path) == [
        Program("web", ("python", "-m", "web", "--name", "a b")),
        Program("worker-2", ("./work",)),
    ]


@pytest.mark.parametrize("line", ["python -m web", "web:", "we b: x", "web: y", "tcp: python 'x"])
def test_read_procfile_names_the_bad_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "Procfile"
    path.write_text(f"web: x\n{line}\n")
    with pytest.raises(StartupError, match=r"^Line 2 of .*Procfile is .*; allowed: a new name, a colon, a command\.$"):
        read_procfile(path)


def test_read_procfile_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be read: No such file or directory"):
        read_procfile(tmp_path / "Procfile")


def test_read_procfile_names_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_bytes(b"web: caf\xe9\n")
    with pytest.raises(StartupError, match=r"Procfile cannot be read: it is not UTF-8\.$"):
        read_procfile(tmp_path / "Procfile")


def test_scaled_numbers_copies_in_place() -> None:
    programs = [Program("redis", ("r",)), Program("worker", ("w",)), Program("web", ("s",))]
    assert scaled(programs, "worker", 1) == programs
    assert [program.name for program in scaled(programs, "worker", 3)] == [
        *("redis", "worker.1", "worker.2", "worker.3", "web")
    ]


def test_scaled_gives_the_environments_in_turn() -> None:
    worker = Program("worker", ("w",))
    copies = scaled([worker], "worker", 3, [{"GPU": "0"}, {"GPU": "5"}])
    assert [dict(program.environment) for program in copies] == [{"GPU": "0"}, {"GPU": "5"}, {"GPU": "0"}]


@pytest.mark.parametrize(
    ("device", "visible", "workers", "spread"),
    [
        ("auto", None, 3, ["0", "1"]),
        ("cuda", "GPU-7,GPU-5", 2, ["GPU-7", "GPU-5"]),
        ("auto", "1", 2, []),
        ("cuda:0", None, 2, []),
        ("cpu", None, 2, []),
        ("auto", None, 1, []),
    ],
)
def test_workers_are_spread_over_the_gpus(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    device: str,
    visible: str | None,
    workers: int,
    spread: list[str],
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA L40S'; echo 'GPU 1: NVIDIA L40S'\n")
    tool.chmod(0o755)
    monkeypatch.setattr(gpus, "_tool", lambda: str(tool))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = _gpus_of_workers(Settings(model={"device": device}), workers)
    assert [one["CUDA_VISIBLE_DEVICES"] for one in found] == spread
    assert all(one["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID" for one in found)


def test_our_procfile_starts_modules_that_exist() -> None:
    programs = read_procfile(PROJECT / "Procfile")
    assert [program.name for program in programs] == [
        *("redis", "websocket", "tcp", "web", "health", "worker", "webhooks", "flower")
    ]
    for program in programs:
        assert program.command[:2] == ("python", "-m")
        assert importlib.util.find_spec(program.command[2]) is not None, program


def test_only_programs_that_the_settings_need_are_started() -> None:
    def started(**sections: Any) -> set[str]:
        return {program.name for program in _programs(Settings(**sections), PROJECT / "Procfile", 1)}

    assert started() == {"redis", "websocket", "tcp", "web", "health", "worker", "flower"}
    assert started(webhooks={"enabled": True}) - started() == {"webhooks"}
    assert started() - started(redis={"url": "redis://elsewhere:6379/0"}) == {"redis"}


def test_docker_compose_runs_the_same_programs() -> None:
    services = yaml.safe_load((PROJECT / "compose" / "docker-compose.yml").read_text())["services"]
    ours = {program.name: " ".join(program.command) for program in read_procfile(PROJECT / "Procfile")}
    assert {name: service["command"] for name, service in services.items()} == ours | {
        "redis": "redis-server /etc/redis.conf"
    }
