"""Wall clocks of processes, each set separately while the process runs. Redis keeps the right time."""

import os
from pathlib import Path
from typing import Final

from tests.stack import PROJECT

STEPPED: Final = Path(__file__).parent / "stepped"


class Clocks:
    """The wall clocks of processes by label."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir()

    def variables(self, label: str) -> dict[str, str]:
        """Environment of a process whose clock can be stepped."""
        self.step(label, 0)
        return {"CHAOS_CLOCK": str(self._folder / label), "PYTHONPATH": os.pathsep.join(map(str, (STEPPED, PROJECT)))}

    def step(self, label: str, offset_s: int) -> None:
        """Make a clock wrong by so much from now on."""
        (self._folder / label).write_text(str(offset_s))
