"""`idle_timeout_ms`: silence becomes an item after so much audio that the session has processed without speech."""

from typing import Any

import pytest

from frontend.protocols.dialect import Configure, Open
from shared.bus.event_log import AUDIO_PROCESSED
from shared.turn_detection import TurnDetection
from tests.unit.frontend.protocols.openai.openai_wire import Wire, connected, error_of, final, kinds, update

TIMEOUT_MS = 5000
IDLE = {"type": "server_vad", "idle_timeout_ms": TIMEOUT_MS}
TIMED_OUT = ["timeout_triggered", "committed", "item.added", "item.done", "completed"]


def processed(wire: Wire, seconds: float) -> list[dict[str, Any]]:
    """The session has processed so much of its audio."""
    return wire.say(type=AUDIO_PROCESSED, audio_processed_samples=round(seconds * 16_000))


def silent(appended_s: int = 60, **inputs: Any) -> Wire:
    """A client with the timeout that has sent audio."""
    wire = connected(turn_detection=IDLE, **inputs)
    for _ in range(appended_s // 10):
        wire.append(10_000)
    return wire


def span(told: list[dict[str, Any]]) -> tuple[int, int]:
    return told[0]["audio_start_ms"], told[0]["audio_end_ms"]


def test_silence_becomes_an_item_without_text() -> None:
    wire = silent()
    assert processed(wire, 4.9) == []
    told = processed(wire, 5.4)
    assert kinds(told) == TIMED_OUT
    assert span(told) == (0, 5400)
    assert len({event["item_id"] for event in told if "item_id" in event}) == 1
    assert (told[-1]["transcript"], told[-1]["usage"]["seconds"]) == ("", 5.4)


def test_next_timeout_counts_from_the_last_item() -> None:
    wire = silent()
    first = processed(wire, 5.0)
    assert processed(wire, 9.9) == []
    second = processed(wire, 10.2)
    assert span(second) == (5000, 10_200)
    assert second[1]["previous_item_id"] == first[0]["item_id"]


def test_audio_that_is_only_received_does_not_count() -> None:
    wire = silent(60)
    assert processed(wire, 1.0) == []


def test_speech_that_has_begun_delays_it_until_its_turn_is_complete() -> None:
    wire = silent()
    wire.say(type="speech_started", start=4.0)
    assert processed(wire, 6.0) == []
    wire.say(type="speech_stopped", end=9.0)
    assert processed(wire, 20.0) == [], "the text of the turn is not there yet"
    assert kinds(final(wire, "Hello.", start=4.0, end=9.0))[-1] == "completed"
    assert processed(wire, 13.9) == []
    assert span(processed(wire, 14.0)) == (9000, 14_000)


def test_commit_that_is_not_answered_delays_it_and_counts_as_the_last_item() -> None:
    wire = connected(turn_detection=IDLE)
    wire.append(1000)
    wire.commit()
    wire.append(10_000)
    assert processed(wire, 8.0) == []
    wire.say(type="committed", end=1.0)
    assert span(processed(wire, 8.0)) == (1000, 8000)


def test_cleared_audio_is_in_no_item() -> None:
    wire = connected(turn_detection=IDLE)
    wire.append(3000)
    wire.tell(type="input_audio_buffer.clear")
    wire.append(10_000)
    wire.say(type="committed", end=3.0)
    assert processed(wire, 7.9) == []
    assert span(processed(wire, 8.0)) == (3000, 8000)


def test_audio_of_a_timeout_is_no_longer_in_the_buffer() -> None:
    wire = connected(turn_detection=IDLE)
    wire.append(5050)
    processed(wire, 5.0)
    assert error_of(wire.commit())["code"] == "input_audio_buffer_commit_empty"


def test_positions_are_those_of_the_connection_after_a_lost_session() -> None:
    wire = silent(10)
    wire.say(type="error", code="idle_timeout", message="No input.")
    wire.append(10_000)
    assert span(processed(wire, 5.0)) == (10_000, 15_000)


def test_each_channel_has_an_item_when_all_are_silent() -> None:
    wire = silent(transcription={"model": "echo", "channel_mode": "separate", "channels": 2})
    wire.say(type="speech_started", start=4.0, channel=1)
    assert processed(wire, 6.0) == []
    wire.say(type="speech_stopped", end=5.0, channel=1)
    wire.say(type="final", segment=0, text="Hello.", start=4.0, end=5.0, channel=1)
    told = processed(wire, 10.0)
    assert [event["channel"] for event in told] == [0] * 5 + [1] * 5
    assert {span([event]) for event in told if "audio_start_ms" in event} == {(5000, 10_000)}


def test_session_says_where_speech_begins_and_how_far_it_is() -> None:
    wire = silent()
    [opening] = wire.taken(Open)
    assert isinstance(opening, Open)
    assert (opening.options.turn_detection, opening.options.progress_ms) == (TurnDetection("pause"), 500)
    update(wire, turn_detection={"idle_timeout_ms": None})
    [change] = wire.taken(Configure)
    assert isinstance(change, Configure)
    assert (change.options.turn_detection, change.options.progress_ms) == (None, None)
    assert processed(wire, 60.0) == []


@pytest.mark.parametrize("timeout_ms", [0, 4999, 30_001])
def test_timeout_has_the_bounds_of_openai(timeout_ms: int) -> None:
    error = error_of(update(connected(), turn_detection=IDLE | {"idle_timeout_ms": timeout_ms}))
    assert error["param"] == "session.audio.input.turn_detection.idle_timeout_ms"
    assert "5000 to 30000" in error["message"]
