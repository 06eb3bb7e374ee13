"""Whether the installed torch fits the driver, as it is said at start and by the doctor."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

from frontend.cli.checks.check import State
from frontend.cli.checks.machine import check_gpu
from shared import gpus
from shared.config.sections import ModelSettings
from shared.config.settings import Settings
from shared.errors import StartupError
from shared.torch_build import TorchBuild, installed_torch
from tests.stack import PROJECT
from worker.engines.loading.checkpoints import placement

REPAIR = "run `rm -f .venv/installed-* && make run`, which installs the build "
LOCKED = "--require-hashes --requirement requirements/base.txt --requirement "
OLD = "is built for CUDA 13.0, which needs NVIDIA driver 580 or newer, and this machine has driver 550.54.14; "


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the head of the PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(gpus, "_tool", lambda: str(folder / "nvidia-smi"))
    write_tool(folder / "df", "echo; echo - - - 99999")  # however little room this machine has
    return folder


def write_tool(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def install_torch(folder: Path, version: str, cuda: str) -> None:
    """As much of a torch as is looked at."""
    (folder / "torch").mkdir(parents=True)
    (folder / "torch/version.py").write_text(f"__version__ = '{version}'\ncuda: Optional[str] = {cuda}\nhip = '7.0'\n")
    (folder / f"torch-{version}.dist-info").mkdir()
    (folder / f"torch-{version}.dist-info/METADATA").write_text(f"Name: torch\nVersion: {version}\n")


@pytest.mark.parametrize(
    ("cuda", "driver", "said"),
    [
        ("13.0", "580.65.06", None),
        ("13.0", "595", None),
        ("12.6", "550.54.14", None),
        ("12.6", "525.60", None),
        ("13.0", "driver", None),
        (
            "13.0",
            "550.54.14",
            f"{OLD}{REPAIR}for CUDA 12.6",
        ),
        ("12.6", "470.1", "needs NVIDIA driver 525 or newer, and this machine has driver 470.1; choose a machine with"),
        (
            None,
            "580.1",
            f"is built without CUDA; {REPAIR}that fits",
        ),
        ("13.0", None, "is built for CUDA 13.0 and finds no NVIDIA driver; install one"),
    ],
)
def test_versions_that_do_not_fit_are_both_named(cuda: str | None, driver: str | None, said: str | None) -> None:
    obstacle = TorchBuild("2.13.0", cuda).obstacle(driver)
    assert said in obstacle if said and obstacle else obstacle is said


@pytest.mark.parametrize(("cuda", "found"), [("'12.6'", "12.6"), ("None", None)])
def test_build_is_read_from_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuda: str, found: str | None
) -> None:
    install_torch(tmp_path, "9.9.9", cuda)
    monkeypatch.syspath_prepend(tmp_path)
    assert installed_torch() == TorchBuild("9.9.9", found)


def test_torch_that_does_not_fit_the_driver_is_one_sentence(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tool(tools / "nvidia-smi", "echo 550.54.14")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StartupError) as caught:
        placement(ModelSettings(device="cuda"))
    said = f"Setting model.device is 'cuda', but torch {torch.__version__} sees no CUDA device: it {OLD}run "
    assert str(caught.value).startswith(said)
    write_tool(tools / "nvidia-smi", "echo 580.65.06")
    with pytest.raises(StartupError, match=r"sees no CUDA device: it says '.*'; check the driver and CUDA_VISIBLE"):
        placement(ModelSettings(device="cuda"))


CUDA_13 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
CUDA_12 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]


@pytest.mark.parametrize(
    ("capability", "architectures", "said"),
    [
        ((7, 0), CUDA_13, "7.0 and the installed torch is built for 7.5 to 12.0; run `rm"),
        ((12, 0), CUDA_12, "12.0 and the installed torch is built for 5.0 to 9.0; update NVIDIA's driver to 580 or"),
        ((12, 0), [*CUDA_12, "compute_90"], None),
        ((6, 1), CUDA_12, None),
        ((8, 9), CUDA_13, None),
        ((9, 0), ["gfx90a"], None),
    ],
)
def test_gpu_that_torch_has_no_kernels_for_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], architectures: list[str], said: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _index: "NVIDIA card")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _index: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: architectures)
    if said is None:
        assert placement(ModelSettings()).device == "cuda:0"
        return
    with pytest.raises(StartupError) as caught:
        placement(ModelSettings())
    start = "Setting model.device is 'auto', but NVIDIA card (cuda:0) has compute capability "
    assert str(caught.value).startswith(f"{start}{said}")
    assert str(caught.value).endswith("or set model.device to another GPU or to cpu.")


def test_doctor_compares_driver_and_torch(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_torch(tmp_path, "9.9.9", "'13.0'")
    monkeypatch.syspath_prepend(tmp_path)
    write_tool(tools / "nvidia-smi", "echo 'NVIDIA A40, 46068 MiB, 550.54.14'")
    check = check_gpu(Settings())
    assert (check.state, check.detail) == (
        State.WARNING,
        f"NVIDIA A40, 46068 MiB, 550.54.14; torch 9.9.9 {OLD.removesuffix('; ')}",
    )
    assert check.advice.startswith("Run `rm -f")
    assert check_gpu(Settings(model={"device": "cuda"})).state is State.BROKEN  # type: ignore[arg-type]
    write_tool(tools / "nvidia-smi", "echo 'NVIDIA A40, 46068 MiB, 580.65.06'")
    check = check_gpu(Settings())
    assert (check.state, check.detail) == (State.OK, "NVIDIA A40, 46068 MiB, 580.65.06; torch 9.9.9 for CUDA 13.0")


def install(folder: Path, **variables: str) -> "tuple[subprocess.CompletedProcess[str], str]":
    """Run `install.sh base` in this folder, with a Python that writes down what it is to do."""
    (folder / "requirements").symlink_to(PROJECT / "requirements")
    python = folder / "my python"
    write_tool(python, 'case "$1" in -c) exit ;; esac\necho "$*" >>pip.log\n[ "$2" != venv ] || cp -r ready .venv')
    (folder / "ready/bin").mkdir(parents=True)
    (folder / "ready/bin/python").symlink_to(python)
    command, environment = [PROJECT / "compose/install.sh", "base"], os.environ | {"PYTHON": str(python)} | variables
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    log = folder / "pip.log"
    return done, log.read_text() if log.exists() else ""


@pytest.mark.parametrize(
    ("driver", "installed", "not_installed"),
    [
        (
            "580.65.06",
            [f"{LOCKED}requirements/voxtral.txt"],
            "cu126",
        ),
        (
            "550.54.14",
            [
                f"{LOCKED}.venv/voxtral-without-torch.txt",
                "--extra-index-url https://download.pytorch.org/whl/cu126 --requirement requirements/torch-cu126.txt",
            ],
            "requirements/voxtral.txt",
        ),
        ("[N/A]", ["--requirement requirements/voxtral.txt"], "cu126"),
        ("470.1", [], "pip"),
    ],
)
def test_installation_takes_the_build_that_fits_the_driver(
    tools: Path, tmp_path: Path, driver: str, installed: list[str], not_installed: str
) -> None:
    write_tool(tools / "nvidia-smi", f'case "$1" in --list-gpus) ;; *) echo "{driver}" ;; esac')
    done, commands = install(tmp_path)
    assert all(part in commands for part in installed)
    assert not_installed not in commands
    assert (done.returncode == 0) is bool(installed)
    if not installed:
        assert "need NVIDIA driver 525 or newer, and this machine has driver 470: choose" in done.stderr
        assert "or use its CPU: make run CUDA_VISIBLE_DEVICES=\n" in done.stderr
    reduced = tmp_path / ".venv/voxtral-without-torch.txt"
    if reduced.exists():
        names = {line.partition("==")[0] for line in reduced.read_text().splitlines() if line[:1].isalpha()}
        assert "transformers" in names
        assert "nvidia-ml-py" in names
        assert not {"torch", "triton", "cuda-toolkit", "nvidia-cublas"} & names


@pytest.mark.parametrize(
    ("capabilities", "is_older"),
    [
        ("7.0", True),
        ("6.1\n8.9", True),
        ("7.5", False),
        ("7.0\n12.0", False),
        ('Field "compute_cap" is not a valid field to query.', False),
    ],
)
def test_installation_takes_the_build_that_fits_the_gpus(
    tools: Path, tmp_path: Path, capabilities: str, *, is_older: bool
) -> None:
    """CUDA 13 has no kernels for GPUs before Turing, and 12.6 none for those after Hopper."""
    (tools / "capabilities").write_text(f"{capabilities}\n")
    ask = f'case "$1" in --list-gpus) ;; *compute_cap*) cat {tools}/capabilities ;; *) echo 580.65.06 ;; esac'
    write_tool(tools / "nvidia-smi", ask)
    done, commands = install(tmp_path)
    assert done.returncode == 0
    assert ("requirements/torch-cu126.txt" in commands) is is_older
    assert ("--requirement requirements/voxtral.txt" in commands) is not is_older


@pytest.mark.parametrize("driver", ["580.65.06", "470.1"])
@pytest.mark.parametrize("none", ["", "-1"])
def test_a_gpu_can_be_declined(tools: Path, tmp_path: Path, driver: str, none: str) -> None:
    write_tool(tools / "nvidia-smi", f"echo {driver}")
    done, commands = install(tmp_path, CUDA_VISIBLE_DEVICES=none)
    assert (done.returncode, done.stderr) == (0, "")
    assert "requirements/base.txt" in commands
    assert "-m compileall -q shared frontend worker compose" in commands
    assert "voxtral" not in commands


def test_a_build_of_torch_can_be_chosen_for_an_older_driver(tools: Path, tmp_path: Path) -> None:
    write_tool(tools / "nvidia-smi", "echo 470.1")
    done, commands = install(tmp_path, TORCH="torch==2.7.0+cu118")
    assert (done.returncode, done.stderr) == (0, "")
    assert " torch==2.7.0+cu118" in commands
    assert f"{LOCKED}.venv/voxtral-without-torch.txt" in commands
