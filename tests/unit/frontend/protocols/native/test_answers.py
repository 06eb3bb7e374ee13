"""What the native protocol answers: responses, errors, and the ids of requests."""

import orjson

from frontend.protocols.native import states as native
from frontend.protocols.native.messages import request_id_of
from shared.errors import MessageTooLargeError, ServerBusyError
from tests.unit.frontend.protocols.native.parsing import PCM, parse


def test_a_response_has_the_fields_that_existing_clients_read() -> None:
    request = parse(type="audio", audio_data=PCM, id="r")
    wire = orjson.loads(native.response(request, model="echo", text="Hello.", processing_ms=312.44, audio_ms=5120))
    assert isinstance(wire.pop("timestamp"), float)
    assert wire == {
        "type": "response",
        "mode": "transcribe",
        "model": "echo",
        "text": "Hello.",
        "processing_time_ms": 312.4,
        "audio_duration_ms": 5120.0,
        "id": "r",
    }


def test_an_id_is_echoed_only_where_one_came() -> None:
    assert "id" not in orjson.loads(native.pong(None))
    assert orjson.loads(native.pong(0))["id"] == 0
    assert orjson.loads(native.status({"slots": 1}, "s")) == {"type": "status", "slots": 1, "id": "s"}
    assert orjson.loads(native.streamed({"type": "partial", "text": "a"}, 4)) == {
        "type": "partial",
        "text": "a",
        "id": 4,
    }
    assert request_id_of(None) is None
    assert request_id_of({"id": [1]}) is None
    assert request_id_of({"id": "a"}) == "a"


def test_an_error_carries_what_is_known() -> None:
    assert orjson.loads(native.error_message(MessageTooLargeError(5, 4))) == {
        "type": "error",
        "code": "message_too_large",
        "message": "The message of 5 bytes is over the limit of 4 bytes.",
    }
    busy = ServerBusyError("Every slot is taken.", retry_after_s=2)
    assert orjson.loads(native.error_message(busy, request_id=1, session_id="s")) == {
        "type": "error",
        "code": "server_busy",
        "message": "Every slot is taken.",
        "session_id": "s",
        "retry_after_s": 2,
        "id": 1,
    }


def test_a_failed_session_answers_a_one_shot_without_its_inner_fields() -> None:
    event = {"type": "error", "session_id": "x", "seq": 3, "code": "internal_error", "message": "m", "mode": "general"}
    assert orjson.loads(native.refusal(event, "r")) == {
        "type": "error",
        "code": "internal_error",
        "message": "m",
        "id": "r",
    }
