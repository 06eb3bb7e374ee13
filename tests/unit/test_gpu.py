"""What is understood of the driver's tool. The tool is a script here, since machines that test have no GPU."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker import gpu

Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a shell script in the place of nvidia-smi."""

    def install(script: str) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        gpu._tool.cache_clear()

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield install
    gpu._tool.cache_clear()


def test_memory_is_that_of_the_device(install: Install) -> None:
    install('[ "$2" = 1 ] && echo "512, 8192"')
    assert gpu.memory_bytes("cuda:1") == (512 * 2**20, 8192 * 2**20)
    assert gpu.memory_bytes("cuda") == (None, None)
    assert gpu.memory_bytes("cpu") == (None, None)


@pytest.mark.parametrize(("visible", "asked"), [("3,1", "1"), ("3, GPU-5", "GPU-5"), ("3", None), ("", None)])
def test_devices_are_numbered_as_cuda_numbers_them(
    install: Install, monkeypatch: pytest.MonkeyPatch, visible: str, asked: str | None
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    install(f'[ "$2" = "{asked}" ] && echo "0, 4096"')
    assert gpu.memory_bytes("cuda:1") == ((0, 4096 * 2**20) if asked else (None, None))


@pytest.mark.parametrize("answer", ["[N/A], [N/A]", "GPU 0: NVIDIA H100", ""])
def test_memory_that_the_driver_does_not_tell_is_not_known(install: Install, answer: str) -> None:
    install(f'echo "{answer}"')
    assert gpu.memory_bytes("cuda:0") == (None, None)
