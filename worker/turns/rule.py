"""When a turn ends: the numbers of a session's rule, from what its client requests. Pure.

A pause asks a model for the probability that the speaker has finished. The higher it is, the shorter the silence that
ends the turn. `tests.bench.turns` measures the levels; its `TUNED_ON` names the recordings that they were chosen on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.turn_detection import Eagerness, TurnDetection, TurnDetectionType


@dataclass(frozen=True, slots=True)
class TurnRule:
    """Of semantic turn detection."""

    asks_ms: tuple[int, ...]
    """The silences at which the model is asked, ascending."""
    waits: tuple[tuple[float, int], ...]
    """From each probability on, the silence in ms that ends the turn; probabilities descending."""
    max_silence_ms: int
    """A silence that ends the turn whatever the probability."""
    early_threshold: float | None = None
    """From this probability on, clients are notified before the turn ends; None never notifies them."""

    def silence_ms(self, probability: float | None) -> int:
        """The silence that ends a turn with this probability; None if it is not known yet."""
        if probability is not None:
            for least, silence_ms in self.waits:
                if probability >= least:
                    return min(silence_ms, self.max_silence_ms)
        return self.max_silence_ms


ASKS_MS: Final = (200,)
"""Measured: further questions at 600 and 1200 ms of the same pause end more turns inside sentences, and few sooner."""
LEVELS: Final[Mapping[Eagerness, TurnRule]] = {
    Eagerness.HIGH: TurnRule(ASKS_MS, ((0.9, 200), (0.7, 500), (0.3, 1000)), max_silence_ms=2000),
    Eagerness.MEDIUM: TurnRule(ASKS_MS, ((0.95, 200), (0.85, 700), (0.5, 1500)), max_silence_ms=4000),
    Eagerness.LOW: TurnRule(ASKS_MS, ((0.97, 600), (0.9, 1500), (0.5, 3000)), max_silence_ms=8000),
}
"""The maximal silences are those of OpenAI's `semantic_vad`."""
EARLY_THRESHOLD: Final = 0.5


def turn_rule(detection: TurnDetection | None) -> TurnRule | None:
    """None if a pause of one length ends each turn."""
    if detection is None or detection.type != TurnDetectionType.SEMANTIC:
        return None
    known = detection.eagerness in (Eagerness.LOW, Eagerness.HIGH)
    level = LEVELS[Eagerness(detection.eagerness) if known and detection.eagerness else Eagerness.MEDIUM]
    most_ms = level.max_silence_ms if detection.max_silence_ms is None else detection.max_silence_ms
    least_ms = min(detection.min_silence_ms or 0, most_ms)
    waits = level.waits
    if detection.end_threshold is not None:
        waits = ((detection.end_threshold, ASKS_MS[0]),)
    early = detection.early_threshold
    if early is None and detection.early:
        early = min(EARLY_THRESHOLD, waits[0][0])
    return TurnRule(level.asks_ms, tuple((least, max(ms, least_ms)) for least, ms in waits), most_ms, early)
