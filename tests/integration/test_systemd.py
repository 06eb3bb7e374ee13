"""The units for systemd, read by systemd itself; `make systemd-check` runs them."""

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

from compose.procfile import read_procfile
from shared.config.settings import Settings, load_settings
from shared.entry import CANNOT_START
from tests.stack import PROJECT

FOLDER: Final = PROJECT / "compose/systemd"
COMMON: Final = "voxtral-.service.d/common.conf"
UNITS: Final = (
    *("voxtral-redis.service", "voxtral-worker@0.service", "voxtral-flower.service", "voxtral-webhooks.service"),
    *(f"voxtral-frontend@{process}.service" for process in ("websocket", "tcp", "web", "health")),
)
MOST_EXPOSURE: Final = 20
"""Of 100. A service without any protection has 96."""
needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd is not installed (Debian and Ubuntu: apt install systemd)"
)


def read(name: str) -> dict[str, list[str]]:
    """The values of each key of a unit's file, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in (FOLDER / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[key].append(value)
    return found


def file_of(unit: str) -> str:
    """The name of its file: an instance has the file of its template."""
    name, at, _ = unit.partition("@")
    return f"{name}@.service" if at else unit


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the path of a Python that exists."""
    folder = tmp_path / "units"
    shutil.copytree(FOLDER, folder)
    for path in (*folder.glob("*.service"), folder / COMMON):
        path.write_text(path.read_text().replace("/opt/voxtral/.venv/bin/python", "/usr/bin/env"))
    return folder


def analyze(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(["systemd-analyze", *arguments], cwd=folder, capture_output=True, check=False, text=True)
    return done.returncode, done.stdout + done.stderr


@needs_systemd
def test_systemd_finds_no_fault(units: Path) -> None:
    files = [f"./{unit}" for unit in (*UNITS, "voxtral.target")]
    assert analyze(units, "verify", "--man=no", *files) == (0, "")
    with (units / COMMON).open("a") as common:
        common.write("ProtectSystme=strict\n")
    _, output = analyze(units, "verify", "--man=no", files[0])
    assert "'ProtectSystme'" in output


@needs_systemd
@pytest.mark.parametrize("unit", UNITS)
def test_units_are_hardened(unit: str, units: Path) -> None:
    command = ("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE}")
    status, output = analyze(units, *command, f"./{unit}")
    assert status == 0, output


def test_target_starts_every_process_of_the_procfile() -> None:
    wanted = {unit for line in read("voxtral.target")["Wants"] for unit in line.split()}
    assert wanted == set(UNITS) - {"voxtral-flower.service", "voxtral-webhooks.service"}
    commands = set()
    for unit in UNITS:
        instance = unit.partition("@")[2].removesuffix(".service")
        [command] = read(file_of(unit))["ExecStart"]
        commands.add(command.removeprefix("/opt/voxtral/.venv/bin/").replace("%i", instance))
        assert read(file_of(unit))["PartOf"] == ["voxtral.target"]
    assert commands == {" ".join(program.command) for program in read_procfile(PROJECT / "Procfile")}


def test_only_the_worker_has_devices_and_they_are_gpus() -> None:
    for name in {file_of(unit) for unit in UNITS}:
        if name == "voxtral-worker@.service":
            assert (read(name)["DevicePolicy"], read(name)["DeviceAllow"]) == (["closed"], ["char-nvidia* rw"])
        else:
            assert read(name)["PrivateDevices"] == ["yes"]


def test_a_worker_has_time_to_drain_and_a_bad_setting_ends_the_restarts() -> None:
    [stop_s] = read("voxtral-worker@.service")["TimeoutStopSec"]
    assert float(stop_s) >= Settings().session.drain_timeout_s + 15
    common = read(COMMON)
    assert common["RestartPreventExitStatus"] == [str(CANNOT_START)]
    assert common["Restart"] == ["always"], "a drained worker ends with 0"
    assert "KillSignal" not in common, "SIGTERM, the default, starts the drain"
    assert common["KillMode"] == ["mixed"], "only the process itself gets SIGTERM"


def test_variables_are_settings_and_folders_are_writable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    common = read(COMMON)
    variables = dict(pair.split("=", 1) for line in common["Environment"] for pair in line.split())
    for name, value in variables.items():
        if name.startswith("VOXTRAL_"):
            monkeypatch.setenv(name, value)
    shutil.copy(PROJECT / "config.yaml", tmp_path)
    monkeypatch.setenv("VOXTRAL_CONFIG", str(tmp_path / "config.yaml"))
    settings = load_settings.__wrapped__()
    assert [common[f"{kind}Directory"] for kind in ("State", "Logs", "Cache")] == [["voxtral"]] * 3
    assert settings.logs.dir == Path("/var/log/voxtral")
    assert settings.redis.data_dir.is_relative_to("/var/lib/voxtral")
    assert Path(variables["HF_HOME"]).is_relative_to("/var/cache/voxtral")
    assert common["ProtectSystem"] == ["strict"]
