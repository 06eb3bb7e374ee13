"""Turn detection in the native protocol and in OpenAI's: what is accepted, and what becomes of it."""

from typing import Any

import pytest

from frontend.protocols.dialect import Configure, Open
from frontend.protocols.kinds import WrongValueError
from frontend.protocols.native.messages import parse_message
from frontend.protocols.turn_detection import TurnDetectionKind
from shared.config.sections import AudioSettings
from shared.errors import InvalidFieldError
from shared.turn_detection import TurnDetection
from tests.unit.frontend.protocols.openai.openai_wire import connected, error_of, final, kinds, update

KIND = TurnDetectionKind()


def start(detection: Any) -> TurnDetection | None:
    action = parse_message({"type": "start", "turn_detection": detection}, AudioSettings())
    assert isinstance(action, Open)
    return action.options.turn_detection


def test_start_takes_the_fields_of_each_type() -> None:
    semantic = {"type": "semantic", "eagerness": "low", "early": True, "end_threshold": 0.9, "max_silence_ms": 3000}
    assert start(semantic) == TurnDetection("semantic", None, None, None, "low", True, 0.9, max_silence_ms=3000)
    assert start({"type": "pause", "silence_duration_ms": 400, "threshold": None}) == TurnDetection(
        "pause", silence_duration_ms=400
    )
    assert start(None) is None


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ("semantic", "an object with type"),
        ({}, "an object with type"),
        ({"type": "server_vad"}, "an object with type"),
        ({"type": "pause", "eagerness": "low"}, ".eagerness is 'low'; allowed: in type pause: threshold, "),
        ({"type": "semantic", "silence_duration_ms": 300}, ".silence_duration_ms is 300; allowed: in type semantic: "),
        ({"type": "semantic", "eagerness": "some"}, ".eagerness is 'some'; allowed: auto, low, medium, high."),
        ({"type": "semantic", "end_threshold": 1.1}, ".end_threshold is 1.1; allowed: a number from 0 to 1."),
        ({"type": "pause", "silence_duration_ms": 63}, "_duration_ms is 63; allowed: an integer from 64 to 60000."),
        ({"type": "pause", "silence_duration_ms": True}, "allowed: an integer from 64 to 60000."),
        ({"type": "semantic", "min_silence_ms": 900, "max_silence_ms": 800}, "allowed: at most max_silence_ms."),
        ({"type": "semantic", "early_threshold": 0.9, "end_threshold": 0.8}, "allowed: at most end_threshold."),
    ],
)
def test_wrong_values_are_named_with_what_is_allowed(given: Any, allowed: str) -> None:
    with pytest.raises(InvalidFieldError, match="turn_detection") as raised:
        start(given)
    assert allowed in raised.value.message


def test_text_is_a_type_or_an_object() -> None:
    assert KIND.from_text("semantic") == TurnDetection("semantic")
    assert KIND.from_text('{"type": "pause", "silence_duration_ms": 300}').silence_duration_ms == 300
    with pytest.raises(WrongValueError):
        KIND.from_text("{")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "server_vad"}, None),
        ({"type": "server_vad", "create_response": False}, None),
        ({"type": "server_vad", "silence_duration_ms": 500}, TurnDetection("pause", silence_duration_ms=500)),
        ({"type": "server_vad", "threshold": 0.7, "prefix_padding_ms": 100}, TurnDetection("pause", 0.7, 100)),
        ({"type": "semantic_vad"}, TurnDetection("semantic")),
        ({"type": "semantic_vad", "eagerness": "high"}, TurnDetection("semantic", eagerness="high")),
        (None, None),
    ],
)
def test_openai_sessions_follow_the_fields_that_their_client_has_set(
    given: dict[str, Any] | None, expected: TurnDetection | None
) -> None:
    wire = connected(turn_detection=given)
    wire.append(100)
    [opening] = wire.taken(Open)
    assert isinstance(opening, Open)
    assert opening.options.turn_detection == expected


def test_openai_update_changes_the_rule_of_the_session() -> None:
    wire = connected()
    wire.append(100)
    update(wire, turn_detection={"type": "server_vad", "silence_duration_ms": 300})
    update(wire, turn_detection={"threshold": 0.6})
    update(wire, turn_detection={"type": "semantic_vad"})
    update(wire, turn_detection=None)
    rules = [action.options.turn_detection for action in wire.taken(Configure) if isinstance(action, Configure)]
    both = TurnDetection("pause", 0.6, silence_duration_ms=300)
    assert rules == [TurnDetection("pause", silence_duration_ms=300), both, TurnDetection("semantic"), None]


def test_openai_bounds_are_those_of_the_service() -> None:
    error = error_of(update(connected(), turn_detection={"type": "server_vad", "silence_duration_ms": 10}))
    assert error["param"] == "session.audio.input.turn_detection.silence_duration_ms"
    assert "64 to 60000" in error["message"]


def test_openai_turn_ends_when_speech_stops_and_not_with_a_segment() -> None:
    wire = connected(turn_detection={"type": "semantic_vad"})
    wire.append(700)
    assert kinds(wire.say(type="speech_started", start=0.1)) == ["speech_started"]
    assert kinds(final(wire, "One sentence.")) == ["delta"]
    stopped = wire.say(type="speech_stopped", end=3.0)
    assert kinds(stopped) == ["speech_stopped", "committed", "item.added", "item.done"]
    *_, done = final(wire, "And another.", segment=1, start=1.0, end=3.0)
    assert done["transcript"] == "One sentence. And another."
    assert wire.say(type="turn_ended", end=3.0, decided_at=3.2, reason="finished") == []
