"""The outputs for turns. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from worker.engines.base import Final, Output, SpeechStarted, TurnEnded
from worker.engines.speech.boundaries import Closed


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """The end of a turn, which is found before all of its text is known."""

    closed: Closed


class TurnText:
    """Whether the current turn has a final. The end of one without is sent only if clients know of its early end."""

    def __init__(self) -> None:
        self.has_final = False

    def add(self, outputs: Iterable[Output]) -> None:
        """Outputs of the turn, in order. The next turn begins with `SpeechStarted`."""
        for output in outputs:
            if isinstance(output, SpeechStarted | Final):
                self.has_final = isinstance(output, Final)

    def end(self, closed: Closed) -> list[Output]:
        """The output for the end of the turn, after that of its last segment. The next turn begins."""
        is_turn = self.has_final or closed.was_notified
        self.has_final = False
        if not is_turn:
            return []
        return [TurnEnded(closed.speech_end_samples, closed.decided_samples, closed.reason.value, closed.probability)]
