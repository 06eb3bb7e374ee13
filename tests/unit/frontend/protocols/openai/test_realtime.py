"""OpenAI's dialect without a network: what its client is told, what it makes of a session of ours."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.protocols.dialect import Append, Commit, Hangup, Open
from frontend.protocols.openai.realtime import SESSION_S, OpenAIRealtime
from shared.errors import IdleTimeoutError, InternalError, ServerBusyError, VoxtralError
from tests.unit.frontend.protocols.openai.openai_wire import (
    Wire,
    connected,
    error_of,
    final,
    kinds,
    partial,
    silence,
    update,
)

MANUAL = {"turn_detection": None}
COMMITTED = ["committed", "item.added", "item.done"]


def test_connection_is_greeted_with_a_session() -> None:
    [created] = Wire(OpenAIRealtime(now=lambda: 1000.5)).sent
    session = created["session"]
    assert created["type"] == "session.created"
    assert session["id"].startswith("sess_")
    assert session["expires_at"] == 1000 + SESSION_S
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert session["audio"]["input"]["transcription"] is None


def test_commits_make_items_of_all_segments_before_them() -> None:
    wire = connected(**MANUAL)
    assert wire.append(700) == []
    assert wire.say(type="speech_started", start=0.1) == []
    assert partial(wire, "Good mor") == []
    [delta] = partial(wire, "Good morning my", "Good")
    assert delta["delta"] == "Good"
    final(wire, "Good morning.")
    wire.say(type="speech_stopped", end=0.6)
    announced = wire.commit()
    assert kinds(announced) == COMMITTED
    assert {event.get("item_id") or event["item"]["id"] for event in announced} == {delta["item_id"]}
    assert announced[0]["previous_item_id"] is None
    wire.append(300)
    second = wire.commit()[0]
    assert second["previous_item_id"] == delta["item_id"]
    [more] = final(wire, "How are you?", segment=1)
    assert more["item_id"] == delta["item_id"]
    [done] = wire.say(type="committed", end=0.7)
    assert done["item_id"] == delta["item_id"]
    assert done["transcript"] == "Good morning. How are you?"
    assert done["usage"] == {"type": "duration", "seconds": 0.7}
    deltas = [event["delta"] for event in wire.sent if event["type"].endswith(".delta")]
    assert "".join(deltas) == done["transcript"]
    [empty] = wire.say(type="committed", end=1.0)
    assert (empty["item_id"], empty["transcript"]) == (second["item_id"], "")
    assert len(wire.taken(Commit)) == 2


def test_server_makes_an_item_of_each_segment() -> None:
    wire = connected()
    wire.append(3000)
    [started] = wire.say(type="speech_started", start=0.82)
    assert started["audio_start_ms"] == 820
    partial(wire, "Good morning my")
    [delta] = partial(wire, "Good morning my friend", "Good morning my")
    assert delta["delta"] == "Good morning my"
    answer = wire.say(type="speech_stopped", end=2.96)
    assert kinds(answer) == ["speech_stopped", *COMMITTED]
    assert answer[0]["audio_end_ms"] == 2960
    answer = final(wire, "Good morning my friend.", start=0.7, end=2.9)
    assert kinds(answer) == ["delta", "completed"]
    assert (answer[0]["delta"], answer[1]["transcript"]) == (" friend.", "Good morning my friend.")
    assert answer[-1]["usage"]["seconds"] == 2.2
    assert {event["item_id"] for event in wire.sent if "item_id" in event} == {started["item_id"]}
    wire.say(type="speech_started", start=4.0)
    wire.say(type="speech_stopped", end=5.0)
    [noise] = final(wire, "", segment=1, start=4.0, end=5.0)
    assert noise["transcript"] == ""


def test_engine_that_tells_no_boundaries_makes_whole_items() -> None:
    wire = connected()
    wire.append(3000)
    assert kinds(partial(wire, "one two")) == ["speech_started"]
    assert kinds(final(wire, "one two three", end=2.0)) == ["speech_stopped", *COMMITTED, "delta", "completed"]
    assert final(wire, "", segment=1) == []


def test_commit_is_legal_where_the_server_finds_turns() -> None:
    wire = connected()
    wire.append(1000)
    [started] = wire.say(type="speech_started", start=0.2)
    assert wire.commit()[0]["item_id"] == started["item_id"]
    assert wire.say(type="speech_stopped", end=0.9) == []
    assert kinds(final(wire, "Hello.")) == ["delta"]
    assert kinds(final(wire, "Again.", segment=1)) == ["delta"]  # told late, and committed too
    [done] = wire.say(type="committed", end=1.0)
    assert (done["transcript"], done["usage"]["seconds"]) == ("Hello. Again.", 1.0)
    wire.append(500)
    assert kinds(wire.commit()) == COMMITTED
    [silent] = wire.say(type="committed", end=1.5)
    assert (silent["transcript"], silent["usage"]["seconds"]) == ("", 0.5)


def test_repeated_answer_to_a_commit_completes_nothing_twice() -> None:
    wire = connected(**MANUAL)
    for _ in range(2):
        wire.append(500)
        wire.commit()
    assert kinds(wire.say(type="committed", end=0.48)) == ["completed"]
    assert wire.say(type="committed", end=0.48) == []
    assert kinds(wire.say(type="committed", end=1.0)) == ["completed"]


@pytest.mark.parametrize("detects", [False, True])
def test_cleared_audio_is_not_told(detects: bool) -> None:
    wire = connected(**({} if detects else MANUAL))
    assert kinds(wire.tell(type="input_audio_buffer.clear")) == ["cleared"]
    assert wire.taken(Commit) == []
    wire.append(1000)
    partial(wire, "one two three")
    assert "delta" in kinds(partial(wire, "one two three", "one two"))
    assert kinds(wire.tell(type="input_audio_buffer.clear")) == ["cleared"]
    assert len(wire.taken(Commit)) == 1
    assert error_of(wire.commit())["code"] == "input_audio_buffer_commit_empty"
    assert final(wire, "one two three four") == []
    wire.append(1000)
    assert wire.say(type="committed", end=1.0) == []
    wire.commit()
    final(wire, "five", segment=1)
    wire.say(type="committed", end=2.0)
    assert (wire.sent[-1]["type"].rpartition(".")[2], wire.sent[-1]["transcript"]) == ("completed", "five")


def test_clear_of_next_to_nothing_ends_no_segment() -> None:
    """The engine would answer such a commit where it answered the one before it."""
    wire = connected(**MANUAL)
    wire.append(500)
    wire.commit()
    wire.append(10)
    wire.tell(type="input_audio_buffer.clear")
    assert len(wire.taken(Commit)) == 1
    assert "0 ms" in error_of(wire.commit())["message"]
    wire.say(type="committed", end=0.5)
    wire.append(500)
    wire.commit()
    final(wire, "heard")
    assert wire.say(type="committed", end=1.01)[0]["transcript"] == "heard"


def test_what_was_committed_before_a_clear_is_told() -> None:
    wire = connected(**MANUAL)
    wire.append(500)
    wire.commit()
    wire.append(500)
    wire.tell(type="input_audio_buffer.clear")
    final(wire, "kept")
    assert wire.say(type="committed", end=0.5)[0]["transcript"] == "kept"
    assert final(wire, "cleared", segment=1) == []
    assert wire.say(type="committed", end=1.0) == []


def test_commit_of_less_than_100_ms_is_an_error() -> None:
    wire = connected(**MANUAL)
    error = error_of(wire.commit(event_id="e2"))
    assert (error["type"], error["code"]) == ("invalid_request_error", "input_audio_buffer_commit_empty")
    assert (error["param"], error["event_id"]) == (None, "e2")
    wire.append(99)
    assert "99 ms" in error_of(wire.commit())["message"]
    wire.append(1)
    assert kinds(wire.commit()) == COMMITTED


@pytest.mark.parametrize(
    "kind", ["response.create", "conversation.item.create", "output_audio_buffer.clear", "x", 5, []]
)
def test_events_of_conversations_are_refused_and_the_session_goes_on(kind: Any) -> None:
    wire = connected()
    error = error_of(wire.tell(type=kind, event_id="e3"))
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "type", "e3")
    assert wire.append(100) == []


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{", "invalid_event", None),
        ("[]", "invalid_event", None),
        ("{}", "invalid_event", "type"),
        (b"\0\0", "invalid_event", None),
        ('{"type":"session.update"}', "missing_required_parameter", "session"),
        ('{"type":"input_audio_buffer.append"}', "missing_required_parameter", "audio"),
        ('{"type":"input_audio_buffer.append","audio":[]}', "invalid_type", "audio"),
        ('{"type":"input_audio_buffer.append","audio":"?"}', "invalid_value", "audio"),
    ],
)
def test_malformed_messages_are_answered(message: str | bytes, code: str, param: str | None) -> None:
    wire = connected()
    error = error_of(wire.tell_text(message))
    assert (error["code"], error["param"]) == (code, param)
    assert wire.append(100) == []


def test_warnings_are_not_passed_on() -> None:
    wire = connected()
    wire.append(100)
    assert wire.say(type="warning", code="prompt_ignored", message="…") == []


def test_lost_session_fails_what_was_committed_and_audio_opens_another() -> None:
    wire = connected(**MANUAL)
    wire.append(500)
    committed = wire.commit()[0]
    wire.append(500)
    answer = wire.say(type="error", code="model_unavailable", message="The worker is stopping.")
    assert kinds(answer) == ["failed", "error"]
    assert answer[0]["item_id"] == committed["item_id"]
    assert error_of(wire.commit())["code"] == "input_audio_buffer_commit_empty"
    update(wire, turn_detection={"type": "server_vad"})
    wire.append(500)
    assert len(wire.taken(Open)) == 2
    assert wire.say(type="speech_started", start=0.25)[0]["audio_start_ms"] == 1250


def test_session_that_nobody_spoke_to_ends_in_silence() -> None:
    wire = connected(**MANUAL)
    wire.append(500)
    assert wire.say(type="error", code="idle_timeout", message="Nothing was received for 60 s.") == []
    wire.append(500)
    assert len(wire.taken(Open)) == 2


def test_session_ends_after_an_hour() -> None:
    now = [0.0]
    wire = Wire(OpenAIRealtime(now=lambda: now[0]))
    now[0] = SESSION_S
    assert error_of(wire.append(100))["code"] == "session_expired"
    assert wire.taken(Hangup)[0].code == 1001


@pytest.mark.parametrize(
    ("error", "code", "close_code"),
    [
        (ServerBusyError("Every slot is taken."), "server_busy", 1013),
        (IdleTimeoutError(60), "idle_timeout", 1001),
        (InternalError("abc"), "internal_error", None),
    ],
)
def test_errors_of_the_connection(error: VoxtralError, code: str, close_code: int | None) -> None:
    wire = connected()
    actions = list(wire.dialect.refuse(error, None))
    assert actions[0].message["error"]["code"] == code
    assert actions[0].message["error"]["event_id"] is None
    assert [action.code for action in actions[1:]] == ([] if close_code is None else [close_code])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 2**40) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "session", "audio", "input", "format", "rate", "transcription", "model", "language", "turn_detection",
         "threshold", "include", "event_id", "input_audio_format", "keywords", "delay", "x"]
    ), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
EVENT = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["session.update", "transcription_session.update", "input_audio_buffer.append", "y"])
        | JSON
    },
    optional={"session": JSON, "audio": JSON, "event_id": JSON},
)


@given(st.lists(EVENT | JSON, max_size=6))
def test_no_message_breaks_the_dialect(messages: list[Any]) -> None:
    wire = Wire(OpenAIRealtime())
    for message in messages:
        wire.tell_text(orjson.dumps(message).decode())
    wire.tell(type="input_audio_buffer.append", audio=silence(100))
    assert wire.taken(Append)


def test_transcript_is_the_final_where_a_new_worker_says_something_else() -> None:
    wire = connected(**MANUAL)
    wire.append(1000)
    wire.commit()
    partial(wire, "the cat sad", "the cat sad")
    final(wire, "The cat sat on the mat.")
    [done] = wire.say(type="committed", end=1.0)
    deltas = [event["delta"] for event in wire.sent if event["type"].endswith(".delta")]
    assert ("".join(deltas), done["transcript"]) == ("the cat sad on the mat.", "The cat sat on the mat.")


def test_turn_tells_the_languages_of_its_segments() -> None:
    wire = connected(**MANUAL)
    wire.append(1000)
    wire.commit()
    for segment, (text, language) in enumerate([("Good morning.", "en"), ("", "fr"), ("Tag.", "de"), ("Bye.", "en")]):
        wire.say(type="final", segment=segment, text=text, start=0.0, end=1.0, language=language)
    [done] = wire.say(type="committed", end=1.0)
    assert done["languages"] == [{"code": "en"}, {"code": "de"}]
