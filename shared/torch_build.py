"""Whether the installed torch fits NVIDIA's driver and the GPU, without importing torch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

MIN_DRIVERS: Final = {13: 580, 12: 525}
"""Oldest driver for a CUDA version (NVIDIA, CUDA compatibility: minor versions are compatible)."""
REPAIR: Final = "run `rm -f .venv/installed-* && make run`, which installs"
"""See `compose/install.sh`."""
ARCHITECTURE: Final = re.compile(r"\b(sm|compute)_(\d+)(\d)")
"""Such as sm_75, sm_90a, compute_120."""


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


def generation_obstacle(capability: tuple[int, int], architectures: Sequence[str]) -> str | None:
    """Why torch cannot use a GPU of this compute capability, and what to do, as a predicate of the GPU; None if it can.

    `architectures` are those that torch is built for: kernels run on later GPUs of the same major version (sm_80 also
    on 8.6), and intermediate code (compute_90) on all later ones.
    """
    built = [(kind, (int(major), int(minor))) for kind, major, minor in ARCHITECTURE.findall(" ".join(architectures))]
    if not built or any(one <= capability and (kind == "compute" or one[0] == capability[0]) for kind, one in built):
        return None
    capabilities = sorted(one for _, one in built)
    is_old = capability < capabilities[0]
    update = "" if is_old else f"update NVIDIA's driver to {max(MIN_DRIVERS.values())} or newer and "
    found, oldest, newest = (f"{major}.{minor}" for major, minor in (capability, capabilities[0], capabilities[-1]))
    return (
        f"has compute capability {found} and the installed torch is built for {oldest} to {newest}; "
        f"{update}{REPAIR} the build that fits"
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
