"""Whether the installed torch fits NVIDIA's driver, by the versions of both, without importing torch."""

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

MIN_DRIVERS: Final = {13: 580, 12: 525}
"""Oldest driver for a CUDA version (NVIDIA, CUDA compatibility: minor versions are compatible)."""
REPAIR: Final = "run `rm -f .venv/installed-* && make run`, which installs"
"""See `compose/install.sh`."""


@dataclass(frozen=True, slots=True)
class TorchBuild:
    version: str
    cuda: str | None
    """Such as 13.0; None for a CPU build."""

    def obstacle(self, driver: str | None) -> str | None:
        """Why it cannot use this driver's GPU, and what to do, as a predicate of `torch`; None if it can."""
        if self.cuda is None:
            return f"is built without CUDA; {REPAIR} the build that fits the driver"
        if driver is None:
            return f"is built for CUDA {self.cuda} and finds no NVIDIA driver; install one"
        found, needed = _major(driver), MIN_DRIVERS.get(_major(self.cuda) or 0)
        if found is None or needed is None or found >= needed:
            return None
        remedy = "choose a machine with a newer driver"
        if found >= min(MIN_DRIVERS.values()):
            remedy = f"{REPAIR} the build for CUDA 12.6, or {remedy}"
        return (
            f"is built for CUDA {self.cuda}, which needs NVIDIA driver {needed} or newer, and this machine has driver "
            f"{driver}; {remedy}"
        )


def installed_torch() -> TorchBuild | None:
    """The build of the installed torch; None if torch is not installed."""
    try:
        found = distribution("torch")
        text = Path(str(found.locate_file("torch/version.py"))).read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError):
        return None
    cuda = re.search(r"^cuda\b.*= *['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return TorchBuild(found.version, cuda[1] if cuda else None)


def _major(version: str) -> int | None:
    found = re.match(r"\d+", version)
    return int(found[0]) if found else None
