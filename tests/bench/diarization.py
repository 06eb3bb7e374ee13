"""Diarization error rate: missed speech, false alarms and confused speakers over the time that speakers speak. Pure.

As NIST's `md-eval`: overlapping speech counts once for each speaker, and labels are matched to speakers so that the
most time agrees. A collar leaves out the audio around each boundary of the reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

FRAME_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Turn:
    speaker: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Errors:
    """In seconds."""

    missed: float = 0.0
    false_alarm: float = 0.0
    confused: float = 0.0
    speech: float = 0.0

    @property
    def percent(self) -> float:
        return self.percent_of(self.missed + self.false_alarm + self.confused)

    def percent_of(self, seconds: float) -> float:
        """As a share of the speech; NaN if there is none."""
        return 100 * seconds / self.speech if self.speech else float("nan")

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.missed + other.missed,
            self.false_alarm + other.false_alarm,
            self.confused + other.confused,
            self.speech + other.speech,
        )


def errors(reference: Sequence[Turn], found: Sequence[Turn], collar_s: float = 0.0) -> Errors:
    """Compare two lists of turns."""
    frames = round(max((turn.end_s for turn in (*reference, *found)), default=0.0) / FRAME_S)
    spoken, labelled = _active(reference, frames), _active(found, frames)
    scored = np.ones(frames, bool)
    for turn in reference if collar_s else ():
        for boundary_s in (turn.start_s, turn.end_s):
            scored[max(0, round((boundary_s - collar_s) / FRAME_S)) : round((boundary_s + collar_s) / FRAME_S)] = False
    spoken, labelled = spoken[:, scored], labelled[:, scored]
    agreeing = spoken.astype(np.int64) @ labelled.T.astype(np.int64)
    true, said = spoken.sum(axis=0), labelled.sum(axis=0)
    right = _best_match(agreeing)
    return Errors(
        missed=float(np.maximum(0, true - said).sum()) * FRAME_S,
        false_alarm=float(np.maximum(0, said - true).sum()) * FRAME_S,
        confused=float(np.minimum(true, said).sum() - right) * FRAME_S,
        speech=float(true.sum()) * FRAME_S,
    )


def _active(turns: Sequence[Turn], frames: int) -> NDArray[np.bool_]:
    """`[speakers, frames]`."""
    names = sorted({turn.speaker for turn in turns})
    active = np.zeros((len(names), frames), bool)
    for turn in turns:
        active[names.index(turn.speaker), round(turn.start_s / FRAME_S) : round(turn.end_s / FRAME_S)] = True
    return active


def _best_match(agreeing: NDArray[np.int64]) -> int:
    """The most frames that agree if each label belongs to at most one speaker."""
    if not agreeing.size:
        return 0
    table = agreeing if agreeing.shape[0] >= agreeing.shape[1] else agreeing.T
    rows, columns = table.shape

    @cache
    def best(row: int, taken: int) -> int:
        if row == rows:
            return 0
        free = [column for column in range(columns) if not taken >> column & 1]
        return (
            max(
                best(row + 1, taken),
                *(int(table[row, column]) + best(row + 1, taken | 1 << column) for column in free),
            )
            if free
            else 0
        )

    return best(0, 0)
