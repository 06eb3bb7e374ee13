"""vLLM's dialect without a network, and how it is told from OpenAI's."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.protocols.detection import UndecidedRealtime, realtime_dialect
from frontend.protocols.dialect import Append, Check, Finish, Hangup, Open, Send
from frontend.protocols.openai.realtime import OpenAIRealtime
from frontend.protocols.vllm import VllmRealtime
from shared.audio.pcm import AudioFormat
from shared.errors import InvalidFieldError, ServerBusyError
from tests.unit.frontend.protocols.openai.openai_wire import Wire, error_of, silence

CHUNK = silence(100, 16_000)


class VllmWire(Wire):
    """OpenAI's types do not judge these messages."""

    def tell_chunk(self) -> list[dict[str, Any]]:
        return self.tell(type="input_audio_buffer.append", audio=CHUNK)

    @staticmethod
    def judge(message: dict[str, Any]) -> dict[str, Any]:
        if message["type"] == "error":
            assert isinstance(message["error"], str)
            assert isinstance(message["code"], str)
        return message


def connected() -> VllmWire:
    wire = VllmWire(VllmRealtime())
    assert wire.tell(type="session.update", model="echo", language="en") == []
    return wire


def codes(answer: list[dict[str, Any]]) -> list[str]:
    return [message["code"] for message in answer if message["type"] == "error"]


def test_recordings_follow_one_another() -> None:
    wire = connected()
    assert wire.sent[0].keys() == {"type", "id", "created"}
    for number in range(2):
        assert wire.commit() == []
        assert wire.commit() == []
        assert wire.tell_chunk() == []
        assert wire.commit(final=True) == []
        deltas = wire.say(type="partial", segment=0, text="Hello there", committed={"text": "Hello"})
        assert [delta["delta"] for delta in deltas] == ["Hello"]
        deltas += wire.say(type="final", segment=0, text="Hello there.", start=0.0, end=0.1)
        deltas += wire.say(type="final", segment=1, text="Friend.", start=0.1, end=0.2)
        [done] = wire.say(type="done", text="Hello there. Friend.", duration=0.1)
        assert "".join(delta["delta"] for delta in deltas) == done["text"] == "Hello there. Friend."
        assert done["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
        assert len(wire.taken(Open)) == len(wire.taken(Finish)) == number + 1
    opening = wire.taken(Open)[0]
    assert opening.audio_format == AudioFormat("pcm_s16le", 16_000)
    assert (opening.options.model, opening.options.language) == ("echo", "en")
    assert opening.options == wire.taken(Check)[0].options


def test_audio_before_the_start_is_taken() -> None:
    wire = connected()
    wire.tell_chunk()
    wire.commit()
    assert [type(action) for action in wire.taken(Open, Append)] == [Open, Append]


def test_final_without_a_recording_is_passed_over() -> None:
    wire = connected()
    assert wire.commit(final=True) == []
    assert wire.taken(Open, Finish) == []


def test_nothing_starts_before_the_end_of_the_last() -> None:
    wire = connected()
    wire.commit()
    wire.commit(final=True)
    assert codes(wire.tell_chunk()) == ["invalid_event"]
    assert codes(wire.commit()) == ["invalid_event"]
    assert wire.commit(final=True) == []
    wire.say(type="done", text="", duration=0.0)
    assert wire.commit() == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_json"),
        (b"\0", "invalid_json"),
        ("{}", "unknown_event"),
        ('{"type":"input_audio_buffer.clear"}', "unknown_event"),
        ('{"type":"session.update"}', "invalid_event"),
        ('{"type":"session.update","model":7}', "invalid_event"),
        ('{"type":"session.update","model":"echo","language":7}', "invalid_event"),
        ('{"type":"input_audio_buffer.commit"}', "model_not_validated"),
        (f'{{"type":"input_audio_buffer.append","audio":"{CHUNK}"}}', "model_not_validated"),
        ('{"type":"input_audio_buffer.append","audio":""}', "invalid_audio"),
        ('{"type":"input_audio_buffer.append","audio":"?"}', "invalid_audio"),
        ('{"type":"input_audio_buffer.append"}', "invalid_audio"),
        ('{"type":"input_audio_buffer.commit","final":7}', "invalid_event"),
    ],
)
def test_bad_events_are_answered_and_change_nothing(message: str | bytes, code: str) -> None:
    wire = VllmWire(VllmRealtime())
    assert codes(wire.tell_text(message)) == [code]
    assert wire.taken(Open, Hangup) == []


def test_model_that_does_not_run_is_named() -> None:
    wire = VllmWire(VllmRealtime())
    wire.fails[Check] = InvalidFieldError("model", "x", "auto, echo")
    [error] = wire.tell(type="session.update", model="x")
    assert error["code"] == "model_not_found"
    assert "'x'" in error["error"]
    assert codes(wire.commit()) == ["model_not_validated"]


def test_recording_that_finds_no_slot_ends_the_connection() -> None:
    """Else it would begin in the middle, as soon as a slot is free."""
    wire = connected()
    wire.fails[Open] = ServerBusyError("Every slot is taken.")
    assert codes(wire.commit()) == ["processing_error"]
    assert wire.taken(Hangup)[0].code == 1013


def test_session_that_fails_is_an_error_and_the_next_may_start() -> None:
    wire = connected()
    wire.commit()
    assert codes(wire.say(type="error", code="model_unavailable", message="…")) == ["processing_error"]
    wire.commit()
    assert len(wire.taken(Open)) == 2


@given(st.lists(st.dictionaries(
    st.sampled_from(["type", "model", "audio", "final", "language", "prompt"]),
    st.sampled_from(["session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "AAAA", "echo", ""])
    | st.none() | st.booleans() | st.integers(-10, 2**40) | st.just([1]),
), max_size=6))  # fmt: skip
def test_no_message_breaks_the_dialect(messages: list[Any]) -> None:
    wire = VllmWire(VllmRealtime())
    for message in messages:
        wire.tell_text(orjson.dumps(message).decode())
    assert all(message["type"] in ("session.created", "error") for message in wire.sent)


@pytest.mark.parametrize(
    ("query", "header", "subprotocols", "greeting"),
    [
        ({"intent": "transcription"}, "", [], "session.created"),
        ({"model": "gpt-4o-transcribe"}, "", [], "session.created"),
        ({}, "", ["realtime", "openai-insecure-api-key.x"], "session.created"),
        ({}, "realtime=v1", [], "transcription_session.created"),
        ({"model": "m"}, "", ["realtime", "openai-beta.realtime-v1"], "transcription_session.created"),
        ({"dialect": "openai", "model": "m"}, "realtime=v1", [], "session.created"),
        ({"dialect": "openai-beta"}, "", [], "transcription_session.created"),
    ],
)
def test_address_and_headers_tell_the_dialect(
    query: dict[str, str], header: str, subprotocols: list[str], greeting: str
) -> None:
    dialect = realtime_dialect(query, header, subprotocols)
    assert isinstance(dialect, OpenAIRealtime)
    assert Wire(dialect).sent[0]["type"] == greeting


def test_dialect_that_is_named_wins() -> None:
    assert isinstance(realtime_dialect({"dialect": "vllm", "model": "m"}, "realtime=v1", []), VllmRealtime)
    with pytest.raises(InvalidFieldError, match="openai, openai-beta, vllm"):
        realtime_dialect({"dialect": "x"}, "", [])


@pytest.mark.parametrize("message", ["{", "[]", b"\0"])
def test_message_that_cannot_be_read_leaves_the_dialect_open(message: str | bytes) -> None:
    wire = Wire(UndecidedRealtime())
    assert error_of(wire.tell_text(message))["code"] == "invalid_event"
    assert wire.tell(type="session.update", session={"type": "transcription"})[0]["type"] == "session.updated"


def test_first_message_tells_where_nothing_else_does() -> None:
    dialect = realtime_dialect({}, "", [])
    assert isinstance(dialect, UndecidedRealtime)
    wire = Wire(dialect)
    assert {"id", "created", "session", "event_id"} <= wire.sent[0].keys()
    assert wire.tell(type="session.update", session={"type": "transcription"})[0]["type"] == "session.updated"
    for first in ('{"type":"session.update","model":"echo"}', '{"type":"input_audio_buffer.commit"}'):
        wire = VllmWire(UndecidedRealtime())
        answer = wire.tell_text(first)
        assert all(isinstance(message["error"], str) for message in answer)
    [error] = [action.message for action in UndecidedRealtime().refuse(ServerBusyError("…"), None)
               if isinstance(action, Send)]  # fmt: skip
    assert error["error"]["code"] == "server_busy"
