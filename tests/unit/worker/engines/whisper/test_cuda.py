"""Libraries that are opened by name later: from the system, or from the files of a package."""

import ctypes
import shutil
from ctypes.util import find_library
from pathlib import Path

import pytest

from worker.engines.whisper.cuda import loaded

SYSTEM = find_library("m") or ""


def test_library_of_the_system_is_found() -> None:
    assert loaded([SYSTEM], [])


def test_library_of_a_package_is_found_by_its_file(tmp_path: Path) -> None:
    source = next(Path("/").glob(f"lib/*/{SYSTEM}"), None) or next(Path("/").glob(f"lib*/{SYSTEM}"), None)
    if source is None:
        pytest.skip(f"{SYSTEM} lies somewhere else")
    file = Path(shutil.copy(source, tmp_path / "libours.so.9"))
    assert not loaded(["libours.so.9"], [])
    assert loaded(["libours.so.9"], [tmp_path / "other", file])
    assert not loaded(["libours.so.9", "libtheirs.so.9"], [file])


def test_file_that_is_no_library_is_not_loaded(tmp_path: Path) -> None:
    file = tmp_path / "libours.so.10"
    file.write_text("text")
    assert not loaded(["libours.so.10"], [file])
    assert ctypes.CDLL(SYSTEM)
