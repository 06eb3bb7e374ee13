"""The events about speech and turns that an engine's output becomes. Pure."""

from typing import Any

from shared.events import EventType, seconds
from worker.engines import base

SpeechOrTurn = base.SpeechStarted | base.SpeechStopped | base.TurnEnded | base.TurnEndedEarly | base.TurnResumed


def event_of(output: SpeechOrTurn) -> tuple[EventType, dict[str, Any]]:
    """The type of the event, and the fields of `shared.events.Event`."""
    match output:
        case base.SpeechStarted():
            return EventType.SPEECH_STARTED, {"start_samples": output.at_samples}
        case base.SpeechStopped():
            return EventType.SPEECH_STOPPED, {"end_samples": output.at_samples}
        case base.TurnResumed():
            return EventType.TURN_RESUMED, {"start_samples": output.at_samples}
        case base.TurnEndedEarly():
            return EventType.TURN_ENDED_EARLY, _ended(output, {})
        case base.TurnEnded():
            return EventType.TURN_ENDED, _ended(output, {"reason": output.reason})


def _ended(output: base.TurnEnded | base.TurnEndedEarly, about: dict[str, Any]) -> dict[str, Any]:
    if output.probability is not None:
        about["probability"] = round(output.probability, 4)
    about["decided_at"] = seconds(output.decided_samples)
    return {"end_samples": output.end_samples, "extra": about}
