"""What a heartbeat says of the GPU's memory, and that nothing about it can end a worker. Torch and NVML stand for a
driver here, since machines that test have no GPU."""

import os
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pynvml
import pytest
import torch

from shared.session_options import CommitDelay, SessionOptions
from worker import gpu_memory
from worker.engine_thread import EngineThread, Feed, Open
from worker.engines.echo import EchoEngine
from worker.gpu_memory import UNKNOWN, GpuMemory, GpuMemoryWatch


@pytest.fixture(autouse=True)
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_memory, "INTERVAL_S", 0.0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def read(device: str) -> GpuMemory:
    watch = GpuMemoryWatch(device)
    watch.sample()
    if watch._asking is not None:
        watch._asking.join()
    return watch.latest


def with_torch(monkeypatch: pytest.MonkeyPatch, mem_get_info: Callable[[int], tuple[int, int]]) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)


def with_driver(monkeypatch: pytest.MonkeyPatch, memory: Callable[[Any], Any]) -> None:
    """NVML with two GPUs."""
    for name in ("nvmlInit", "nvmlShutdown"):
        monkeypatch.setattr(pynvml, name, lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda handle: f"GPU-{handle}0c1d")
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda name: name)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", memory)


def broken(*_: object) -> Any:
    raise RuntimeError("CUDA error: unspecified launch failure")


def test_torch_is_asked_where_it_runs_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with_torch(monkeypatch, lambda index: (100 * index, 1000))
    assert read("cuda:3") == GpuMemory(700, 1000)
    assert read("cpu") == UNKNOWN


@pytest.mark.parametrize(
    ("visible", "total"), [(None, 1001), ("0", None), ("1,0", 1000), ("GPU-1,GPU-0", 1000), ("0,MIG-5", 7)]
)
def test_driver_is_asked_about_the_gpu_that_cuda_numbers(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, total: int | None
) -> None:
    totals = {0: 1000, 1: 1001, "MIG-5": 7}
    with_driver(monkeypatch, lambda handle: SimpleNamespace(used=5, total=totals[handle]))
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert read("cuda:1") == GpuMemory(5 if total else None, total)


def test_memory_that_cannot_be_read_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read("cuda:0") == UNKNOWN or os.path.exists("/dev/nvidia0")  # without a driver there is no NVML
    with_driver(monkeypatch, broken)
    assert read("cuda:0") == UNKNOWN
    with_torch(monkeypatch, broken)
    assert read("cuda:0") == UNKNOWN


def test_driver_that_hangs_holds_up_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor does the driver's tool, which a running worker never asks."""
    asked, released = threading.Event(), threading.Event()

    def hang(_handle: object) -> Any:
        asked.set()
        released.wait()
        return SimpleNamespace(used=1, total=2)

    with_driver(monkeypatch, hang)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    engine = EchoEngine(slots=1)
    engine.info = replace(engine.info, device="cuda:0")
    steps: queue.Queue[Any] = queue.Queue()
    thread = EngineThread(engine, steps.put, steps.put, CommitDelay.BALANCED)
    thread.start()
    try:
        thread.post([Open("a", SessionOptions(), 0, 0)])
        assert asked.wait(10)
        for _ in range(3):
            thread.post([Feed("a", np.ones(16_000, np.float32))])
            assert steps.get(timeout=10).positions
        assert thread.gpu_memory == UNKNOWN
        assert [one.name for one in threading.enumerate()].count("gpu-memory") == 1
    finally:
        released.set()
        thread.stop(10)
    assert not (tmp_path / "called").exists()
