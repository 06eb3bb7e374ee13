"""The vocabulary of endpointing: its settings, questions and findings. Positions are samples of the session."""

from dataclasses import dataclass
from enum import StrEnum

from worker.engines.base import TurnEndedEarly, TurnResumed
from worker.turns.rule import TurnRule

MIN_VOICED_WINDOWS = 4
"""A segment with less speech than this, 128 ms, may be a cough, for which models make up words."""


@dataclass(frozen=True, slots=True)
class SegmenterSettings:
    window_samples: int = 512
    onset_probability: float = 0.5
    offset_probability: float = 0.35
    onset_windows: int = 2
    """Speech starts after this many windows in a row above `onset_probability`."""
    pre_roll_ms: int = 320
    """Audio included before the first window of speech, so that a soft first sound is not cut."""
    faint_share: float = 1 / 3
    """Windows with at least this share of `onset_probability` that lead up to an onset are in its segment, though not
    counted in `voiced_windows`: a sentence may begin too quietly for an onset. Infinite: none are."""
    faint_pre_roll_ms: int = 96
    """Audio included before the first of those."""
    post_roll_ms: int = 192
    """Audio included after the last window of speech."""
    endpoint_ms: int = 544
    """A silence this long ends the segment."""
    late_endpoint_ms: int = 320
    late_after_s: float = 7.0
    """A segment longer than this ends at the shorter silence: long windows are slow to decode."""
    max_segment_s: float = 12.0
    """A segment that reaches this is cut at its best pause in the second half."""
    turn_rule: TurnRule | None = None
    """If there is one, it replaces the silences that end a segment."""


class EndReason(StrEnum):
    """Why a segment has ended."""

    FINISHED = "finished"
    """A model has decided that the speaker has finished."""
    SILENCE = "silence"
    """The silence was as long as a silence may be."""
    COMMIT = "commit"
    """The client has committed or ended its audio."""


@dataclass(frozen=True, slots=True)
class Opened:
    start_samples: int
    speech_samples: int
    """Where the speech itself starts, after the pre-roll."""
    after_cut: bool = False
    """The speech started earlier, in a segment that was too long and was cut."""


@dataclass(frozen=True, slots=True)
class Closed:
    start_samples: int
    end_samples: int
    speech_start_samples: int
    speech_end_samples: int
    voiced_windows: int
    """Number of windows of the segment that were speech."""
    speech_goes_on: bool = False
    reason: EndReason = EndReason.SILENCE
    probability: float | None = None
    """That the speaker has finished, if a model was asked."""
    decided_samples: int = 0
    """The audio up to here was heard for the decision."""
    was_notified: bool = False
    """`TurnEndedEarly` came before it, for this pause or an earlier one of the turn."""


@dataclass(frozen=True, slots=True)
class Question:
    """Has the speaker finished at the end of this audio?"""

    start_samples: int
    end_samples: int


Boundary = Opened | Closed
Found = Boundary | TurnEndedEarly | TurnResumed
