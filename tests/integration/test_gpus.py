"""What is understood of the driver's tool. The tool is a script here, since machines that test have no GPU."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from shared import gpus
from shared.config.sections import ModelSettings
from shared.config.settings import Settings
from worker.engines.auto import REALTIME
from worker.engines.loading import checkpoints
from worker.engines.registry import _choose
from worker.engines.whisper import placement as whisper_placement

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
    install("printf 'GPU 0: NVIDIA H100 (UUID: GPU-5c)\nGPU 1: NVIDIA H100 (UUID: GPU-7d)\n'")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.gpu_count() == 2
    assert gpus.visible_gpus() == identities


SLICED = """case "$1" in
-L) cat <<'END'
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1a)
  MIG 1g.10gb+me  Device  0: (UUID: MIG-5a)
  MIG 1c.2g.20gb  Device  1: (UUID: MIG-6b)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-2b)
END
;;
-i) echo "0, 81559" ;;
esac"""


@pytest.mark.parametrize(
    ("visible", "names", "total_gb"),
    [
        (None, ["MIG-5a", "MIG-6b", "1"], 10),
        ("MIG-5a,MIG-6b", ["MIG-5a", "MIG-6b"], 10),
        ("MIG-6", ["MIG-6b"], 20),
        ("0", ["MIG-5a", "MIG-6b"], 10),
        ("GPU-1", ["MIG-5a", "MIG-6b"], 10),
        ("1", ["1"], 85),
    ],
)
def test_slices_of_a_gpu_are_seen_instead_of_it(
    install: Install, monkeypatch: pytest.MonkeyPatch, visible: str | None, names: list[str], total_gb: int
) -> None:
    """Each worker gets one, and a process sees the first of several as its only GPU."""
    install(SLICED)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.visible_gpus() == names
    assert gpus.largest_gpu() == 0
    total = gpus.memory_bytes("cuda")[1]
    assert total is not None
    assert total // 10**9 == total_gb


TWO_CARDS = """case "$1 $2" in
-L*) printf 'GPU 0: NVIDIA GeForce GT 1030\\nGPU 1: NVIDIA GeForce RTX 4090\\n' ;;
"-i 0") echo "1, 2048" ;;
"-i 1") echo "1, 24564" ;;
esac"""


@pytest.mark.parametrize(("visible", "largest"), [(None, 1), ("1,0", 0), ("0", 0), ("", 0)])
def test_largest_gpu_is_the_one_with_the_most_memory(
    install: Install, monkeypatch: pytest.MonkeyPatch, visible: str | None, largest: int
) -> None:
    install(TWO_CARDS)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.largest_gpu() == largest


@pytest.mark.parametrize(
    ("device", "chosen", "model", "reason"),
    [
        ("auto", "cuda:1", REALTIME, "cuda:1, one of 2 GPUs, has 25.8 GB, so"),
        ("cuda:0", "cuda:0", "whisper-small", "cuda:0, one of 2 GPUs, has 2.1 GB, but"),
    ],
)
def test_auto_takes_the_largest_gpu(install: Install, device: str, chosen: str, model: str, reason: str) -> None:
    install(TWO_CARDS)
    choice, settings = _choose(Settings(model={"device": device}))  # type: ignore[arg-type]
    assert (choice.model, settings.model.device) == (model, chosen)
    assert reason in choice.reason


def test_a_named_model_takes_the_largest_gpu(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(TWO_CARDS)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _index: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90"])
    monkeypatch.setattr(whisper_placement, "cuda_obstacle", lambda: None)
    assert checkpoints.placement(ModelSettings()).device == "cuda:1"
    assert whisper_placement.device("auto") == "cuda:1"


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
