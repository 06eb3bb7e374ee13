"""Wall clocks of processes, each stepped by itself while the process runs (libfaketime, Debian package `faketime`)."""

from pathlib import Path
from typing import Final

LIBRARIES: Final = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


class Clocks:
    """The wall clocks of processes by label. Monotonic clocks go on undisturbed, as those of real machines do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir()

    def variables(self, label: str) -> dict[str, str]:
        """Environment of a process whose clock can be stepped."""
        self.step(label, 0)
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._folder / label),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, label: str, offset_s: int) -> None:
        """Let a clock be wrong by so much from now on."""
        (self._folder / label).write_text(f"{offset_s:+d}s\n")
