"""The progress of this process's start: download, load, record, warm. Any thread may read it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    DOWNLOAD = "download"
    LOAD = "load"
    RECORD = "record"
    WARM = "warm"


@dataclass(frozen=True, slots=True)
class Progress:
    phase: Phase
    model: str
    done: int = 0
    """Out of `total`: bytes of a download, or recorded passes."""
    total: int = 0

    def __str__(self) -> str:
        """What the worker is doing, as the rest of a sentence."""
        match self.phase:
            case Phase.DOWNLOAD:
                return f"is downloading {self.model}: {self.done / 1e9:.2f} of {self.total / 1e9:.2f} GB"
            case Phase.LOAD:
                return f"is loading {self.model}"
            case Phase.RECORD:
                return f"is recording the passes of {self.model}: {self.done} of {self.total}"
            case Phase.WARM:
                return f"is warming {self.model} up"


class Starting:
    """The current phase. The code that begins a phase calls `begin`."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._measure: Callable[[], int] | None = None

    def begin(self, phase: Phase, model: str, *, total: int = 0, measure: Callable[[], int] | None = None) -> None:
        """`measure` returns what is done, whenever `progress` is called; otherwise `recorded` sets it."""
        self._progress, self._measure = Progress(phase, model, 0, total), measure

    def recorded(self, done: int, total: int) -> None:
        """Report how many passes are recorded; after the last one the model is warmed up."""
        if self._progress is not None:
            phase = Phase.RECORD if done < total else Phase.WARM
            self._progress, self._measure = Progress(phase, self._progress.model, done, total), None

    @property
    def progress(self) -> Progress | None:
        """None before the first phase."""
        progress, measure = self._progress, self._measure
        if progress is None or measure is None:
            return progress
        return Progress(progress.phase, progress.model, min(measure(), progress.total), progress.total)


STARTING = Starting()
"""The start of this process."""
