"""Becomes systemd, as the first process of new namespaces: `python -m tests.systemd.inside FOLDER`.

The project is at /opt/voxtral, and only its units exist. Changes to /etc, /opt and /var are lost at the end. `FOLDER`
gets the output of the processes.
"""

import os
import shutil
import site
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.stack import PROJECT

UNITS: Final = Path("/run/units")
INSTALLED: Final = Path("/opt/voxtral")
PYTHON: Final = Path("/opt/python")
"""A copy of the interpreter: `ProtectHome` hides one that is in somebody's home."""
CONFIG: Final = "model: {name: whisper-base, slots: 8}\n"
TARGETS: Final = ("sysinit", "basic", "shutdown", "network-online")
"""Targets of systemd that ours need; here they do nothing."""
LEFT_OUT: Final = shutil.ignore_patterns("site-packages", "test", "config-*", "__pycache__", "node_modules")


def main(folder: Path) -> None:
    _run("mount --make-rprivate /")
    _run("mount -t proc proc /proc")
    _run("ip link set lo up")
    _run("mount -t tmpfs tmpfs /run")
    for name in ("etc", "opt", "var"):
        for part in ("upper", "work"):
            Path(f"/run/{name}.{part}").mkdir()
        options = f"lowerdir=/{name},upperdir=/run/{name}.upper,workdir=/run/{name}.work"
        _run(f"mount -t overlay overlay -o {options} /{name}")
    _install_units(folder)
    _install_project()
    _run("umount --recursive /sys/fs/cgroup")
    _run("mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    environment = {"PATH": os.environ["PATH"], "container": "test", "SYSTEMD_UNIT_PATH": str(UNITS)}
    os.execve("/lib/systemd/systemd", ["systemd", "--system", "--unit=voxtral.target"], environment)


def _install_units(folder: Path) -> None:
    shutil.copytree(PROJECT / "compose/systemd", UNITS)
    for target in TARGETS:
        (UNITS / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    changes = f"[Service]\nStandardError=append:{folder}/output\nEnvironment=LD_LIBRARY_PATH={PYTHON}/lib\n"
    (UNITS / "voxtral-.service.d/test.conf").write_text(changes)
    Path("/etc/sysusers.d").mkdir(exist_ok=True)
    shutil.copy(UNITS / "voxtral.sysusers", "/etc/sysusers.d/voxtral.conf")
    _run("systemd-sysusers /etc/sysusers.d/voxtral.conf")
    Path("/etc/voxtral").mkdir()
    Path("/etc/voxtral/config.yaml").write_text(CONFIG)


def _install_project() -> None:
    for name in ("compose", "frontend", "shared", "worker"):
        shutil.copytree(PROJECT / name, INSTALLED / name, ignore=LEFT_OUT)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix)
    shutil.copytree(base / f"lib/{version}", PYTHON / f"lib/{version}", ignore=LEFT_OUT)
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy(library, PYTHON / "lib")
    (PYTHON / "bin").mkdir()
    shutil.copy(base / "bin" / version, PYTHON / "bin")
    os.environ["LD_LIBRARY_PATH"] = f"{PYTHON}/lib"
    _run(f"{PYTHON}/bin/{version} -m venv --without-pip {INSTALLED}/.venv")
    paths = [*site.getsitepackages(), INSTALLED, INSTALLED / "frontend/client/src"]
    packages = INSTALLED / f".venv/lib/{version}/site-packages"
    (packages / "voxtral.pth").write_text("".join(f"{path}\n" for path in paths))


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
