"""What takes seconds to make and never changes, kept under `~/.cache/voxtral-tests` (or `XDG_CACHE_HOME`)."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def cache_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voxtral-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def copied(key: str, make: Callable[[Path], object], folder: Path) -> None:
    """Copy the files that `make` writes into the folder. It is called if there are none with this key."""
    kept = cache_folder() / key
    if not kept.is_dir():
        unfinished = kept.with_suffix(f".{os.getpid()}")
        try:
            make(unfinished)
            unfinished.rename(kept)
        except OSError:
            if not kept.is_dir():  # no other process was faster
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(kept, folder, dirs_exist_ok=True)
