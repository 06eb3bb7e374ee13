"""What is understood of the driver's tool. The tool is a script here, since machines that test have no GPU."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared import gpus

Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a shell script in the place of nvidia-smi."""

    def install(script: str) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        gpus._tool.cache_clear()

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield install
    gpus._tool.cache_clear()


def test_memory_is_that_of_the_device(install: Install) -> None:
    install('[ "$2" = 1 ] && echo "512, 8192"')
    assert gpus.memory_bytes("cuda:1") == (512 * 2**20, 8192 * 2**20)
    assert gpus.memory_bytes("cuda") == (None, None)
    assert gpus.memory_bytes("cpu") == (None, None)


@pytest.mark.parametrize(("visible", "asked"), [("3,1", "1"), ("3, GPU-5", "GPU-5"), ("3", None), ("", None)])
def test_devices_are_numbered_as_cuda_numbers_them(
    install: Install, monkeypatch: pytest.MonkeyPatch, visible: str, asked: str | None
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    install(f'[ "$2" = "{asked}" ] && echo "0, 4096"')
    assert gpus.memory_bytes("cuda:1") == ((0, 4096 * 2**20) if asked else (None, None))


@pytest.mark.parametrize("answer", ["[N/A], [N/A]", "GPU 0: NVIDIA H100", ""])
def test_memory_that_the_driver_does_not_tell_is_not_known(install: Install, answer: str) -> None:
    install(f'echo "{answer}"')
    assert gpus.memory_bytes("cuda:0") == (None, None)


@pytest.mark.parametrize(
    ("visible", "identities"),
    [(None, ["0", "1"]), ("1", ["1"]), ("GPU-5,GPU-7", ["GPU-5", "GPU-7"]), ("", []), ("1,-1,0", ["1"])],
)
def test_gpus_that_cuda_numbers(
    install: Install, monkeypatch: pytest.MonkeyPatch, visible: str | None, identities: list[str]
) -> None:
    """The slices of a GPU that the driver lists below it are none by themselves."""
    install("printf 'GPU 0: NVIDIA H100\n  MIG 1g.10gb Device 0: (UUID: MIG-5)\nGPU 1: NVIDIA H100\n'")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.gpu_count() == 2
    assert gpus.visible_gpus() == identities


@pytest.mark.parametrize("script", ["exec sleep 60", "exit 9", "printf '\377'", "kill -9 $$"])
def test_tool_that_does_not_work_is_no_error(install: Install, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(gpus, "TIMEOUT_S", 0.2)
    install(script)
    assert gpus.memory_bytes("cuda") == (None, None)
    assert gpus.gpu_count() == 0


def test_tool_that_cannot_be_run_is_no_error(install: Install, tmp_path: Path) -> None:
    install("")
    assert gpus.gpu_count() == 0
    (tmp_path / "nvidia-smi").unlink()
    assert gpus.gpu_count() == 0
    assert gpus.driver_version() is None
