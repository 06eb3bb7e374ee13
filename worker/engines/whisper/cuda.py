"""Whether CTranslate2 can use a GPU here: it needs the driver, and a library that its package does not contain."""

import ctypes
from collections.abc import Sequence
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Final

import ctranslate2

from shared.gpus import gpu_count

PACKAGE: Final = "nvidia-cublas-cu12"
LIBRARIES: Final = ("libcublasLt.so.12", "libcublas.so.12")
"""The second needs the first. CTranslate2 opens it by name for its first matrix product on the GPU."""


def cuda_obstacle() -> str | None:
    """Why CTranslate2 cannot use CUDA, and what to do about it, as the middle of a sentence; None when it can.

    Loads the libraries that CTranslate2 will open by name, so that they can be installed in a virtual environment.
    """
    if ctranslate2.get_cuda_device_count() == 0:
        listed = gpu_count()
        if listed:
            gpus = "1 GPU" if listed == 1 else f"{listed} GPUs"
            return (
                f"CTranslate2 {ctranslate2.__version__} sees no CUDA device, although the driver lists {gpus}; update "
                "NVIDIA's driver, check CUDA_VISIBLE_DEVICES"
            )
        return "no NVIDIA GPU was found; install NVIDIA's driver"
    if not loaded(LIBRARIES, _package_files(PACKAGE)):
        return f"CTranslate2 lacks {LIBRARIES[-1]} for CUDA; install it with `pip install -r requirements/voxtral.txt`"
    return None


def loaded(libraries: Sequence[str], files: Sequence[Path]) -> bool:
    """Load the libraries into the process, from the system or else from these files. False when one is missing."""
    return all(_load(library, files) for library in libraries)


def _load(library: str, files: Sequence[Path]) -> bool:
    for candidate in (library, *(str(file) for file in files if file.name == library)):
        try:
            ctypes.CDLL(candidate, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        return True
    return False


def _package_files(name: str) -> list[Path]:
    try:
        found = Distribution.from_name(name)
    except PackageNotFoundError:
        return []
    return [Path(str(found.locate_file(file))) for file in found.files or ()]
