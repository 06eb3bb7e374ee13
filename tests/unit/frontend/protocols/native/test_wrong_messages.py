"""Messages of the native protocol that are rejected: wrong fields and types, and what is no message at all."""

import contextlib
import math
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontend.protocols.dialect import (
    Append,
    Cancel,
    Change,
    Commit,
    Embed,
    Finish,
    Identify,
    OneShot,
    Open,
    Resume,
    Status,
)
from frontend.protocols.fields import MAX_ID_CHARS
from frontend.protocols.json_objects import decode_message
from frontend.protocols.native import states as native
from frontend.protocols.native.messages import KINDS, Ping, parse_message, request_id_of
from frontend.protocols.options import MAX_PROMPT_CHARS
from shared.errors import (
    InvalidAudioError,
    InvalidFieldError,
    InvalidJsonError,
    MissingFieldError,
    UnknownTypeError,
    VoxtralError,
)
from tests.unit.frontend.protocols.native.parsing import DEFAULTS, PCM, parse

ACTIONS = {
    "audio": OneShot,
    "ping": Ping,
    "status": Status,
    "start": Open,
    "resume": Resume,
    "chunk": Append,
    "commit": Commit,
    "configure": Change,
    "stop": Finish,
    "cancel": Cancel,
    "auth": Identify,
    "voice": Embed,
}


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("mode", "summarise", "transcribe, understand, general"),
        ("mode", 1, "transcribe, understand, general"),
        ("mode", ["transcribe"], "transcribe, understand, general"),
        ("mode", {}, "transcribe, understand, general"),
        *(("language", value, "'english', or 'auto'") for value in ("klingon", "", "e", "en us", "x" * 200, 5, ["en"])),
        *(
            ("languages", value, "a list of 1 to 20 languages")
            for value in ([], "en", ["en"] * 21, ["en", "klingon"], ["en", "auto"], ["en", 1], [["en"]], {"en": 1}, 5)
        ),
        ("prompt", "x" * (MAX_PROMPT_CHARS + 1), str(MAX_PROMPT_CHARS)),
        ("prompt", 3, "string"),
        (
            "encoding",
            "mp3",
            "pcm_s16le, pcm_s32le, pcm_f16le, pcm_f32le, pcmu, pcma, pcm_u8, pcm_s24le, pcm_f64le, container",
        ),
        (
            "encoding",
            "",
            "pcm_s16le, pcm_s32le, pcm_f16le, pcm_f32le, pcmu, pcma, pcm_u8, pcm_s24le, pcm_f64le, container",
        ),
        ("encoding", 16, "string"),
        ("sample_rate", 5999, "6000 to 384000"),
        ("sample_rate", 384001, "6000 to 384000"),
        ("sample_rate", "16000", "integer"),
        ("sample_rate", 16000.5, "integer"),
        ("sample_rate", True, "integer"),
        ("sample_rate", 2**60, "integer"),
        ("channels", 0, "1, 2"),
        ("channels", 3, "1, 2"),
        *(("model", value, "1 to 128 characters, such as 'auto'") for value in ("", "x" * 129, 3, True, ["echo"])),
        *(("max_new_tokens", value, "1 to 4096") for value in (0, -1, 4097, 5.5, "5", True, 2**60, [5])),
        *(("temperature", value, "0 to 2") for value in (-0.1, 2.01, -1, 3, "1", True, False, 1e300, {})),
        *(("top_p", value, "above 0, at most 1") for value in (0, 0.0, -0.5, 1.01, 2, "1", True, [])),
    ],
)
@pytest.mark.parametrize("kind", ["audio", "start"])
def test_a_wrong_field_is_named_with_what_is_allowed(kind: str, field: str, value: Any, allowed: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        parse(**{"type": kind, "audio_data": PCM, field: value})
    assert caught.value.message.startswith(f"{field} is ")
    assert allowed in caught.value.message
    assert len(caught.value.message) < 250


@pytest.mark.parametrize("field", ["temperature", "top_p"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused(field: str, value: float) -> None:
    """JSON has none of these, but other callers may hand them over."""
    with pytest.raises(InvalidFieldError, match=f"^{field} is "):
        parse_message({"type": "start", field: value}, DEFAULTS)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        *(({"type": "start", "delay_ms": value}, "delay_ms") for value in (0, 79, 81, 1280, 2401, 80.5, "80", True)),
        *(
            ({"type": "start", "commit_delay": value}, "commit_delay")
            for value in ("slow", "", "FAST", 1, True, ["fast"])
        ),
        ({"type": "configure", "commit_delay": "slow"}, "commit_delay"),
        ({"type": "configure", "languages": []}, "languages"),
        *(({"type": "start", "words": value}, "words") for value in (1, "yes", [])),
        *(({"type": "start", "partials": value}, "partials") for value in (0, "no")),
        *(({"type": "start", "recording": value}, "recording") for value in (0, "no")),
        ({"type": "start", "recording": True, "turn_detection": {"type": "semantic"}}, "turn_detection"),
        *(({"type": "audio", "audio_data": PCM, "stream": value}, "stream") for value in (1, "true")),
        *(({"type": "ping", "id": value}, "id") for value in (1.5, True, [], {}, "x" * (MAX_ID_CHARS + 1), 2**53)),
        ({"type": "audio", "audio_data": 5}, "audio_data"),
        ({"type": "chunk", "audio_data": [PCM]}, "audio_data"),
        ({"type": "configure", "language": "klingon"}, "language"),
        ({"type": "configure", "max_new_tokens": 0}, "max_new_tokens"),
        ({"type": "configure", "temperature": 2.5}, "temperature"),
        ({"type": "configure", "top_p": 0}, "top_p"),
        *(({"type": "resume", "session_id": value}, "session_id") for value in ("", "a b", "x" * 65, 7, "{x}:audio")),
        *(
            ({"type": "resume", "session_id": "a", "resume_token": value}, "resume_token")
            for value in ("", 7, "x" * 200)
        ),
        *(
            ({"type": "resume", "session_id": "a", "resume_token": "t", "seq": value}, "seq")
            for value in (-1, 1.5, "1", True)
        ),
    ],
)
def test_the_fields_of_single_messages_are_checked_too(message: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFieldError, match=f"^{field} is "):
        parse(**message)


def test_a_resume_token_is_never_repeated_to_the_client() -> None:
    with pytest.raises(InvalidFieldError) as caught:
        parse(type="resume", session_id="a", resume_token="secret" * 50)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("message", "missing"),
    [
        ({}, "type"),
        ({"type": None}, "type"),
        ({"type": "audio"}, "audio_data"),
        ({"type": "audio", "audio_data": None}, "audio_data"),
        ({"type": "chunk"}, "audio_data"),
        ({"type": "resume"}, "session_id"),
        ({"type": "resume", "session_id": "a"}, "resume_token"),
        ({"type": "resume", "session_id": "a", "resume_token": "t"}, "seq"),
        (
            {"type": "configure"},
            "language, languages, prompt, delay_ms, commit_delay, max_new_tokens, temperature, top_p",
        ),
    ],
)
def test_a_missing_field_is_named(message: dict[str, Any], missing: str) -> None:
    with pytest.raises(MissingFieldError, match=missing):
        parse(**message)


@pytest.mark.parametrize("kind", ["", "Audio", "transcribe", 5, ["audio"], {"a": 1}, True, "x" * 10_000])
def test_an_unknown_type_is_answered_with_those_that_exist(kind: Any) -> None:
    with pytest.raises(UnknownTypeError, match="audio, ping, status, start, resume, chunk, commit") as caught:
        parse(type=kind)
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{", "[]", "null", "5", '"audio"', "{'type': 'audio'}", '{"a": NaN}', '{"a": 1e999}', "\x00"),
        *('{"a": "\ud800"}', '{"a":1}{"b":2}', '{"a":' * 2000 + "1" + "}" * 2000, "[" * 5000),
        '{"a":[' + "1," * 20_000 + "1]}",
    ],
)
def test_what_is_not_one_json_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidJsonError) as caught:
        decode_message(text)
    assert len(caught.value.message) < 250
    orjson.dumps(caught.value.message)


@pytest.mark.parametrize(
    "text", ["a", "abc", "AAA=A", "AA=A", "====", "AA==AAAA", "ÄÖÜ=", "AAA-", "AAA_", "AA AA", "AAAA="]
)
def test_wrong_base64_is_wrong_audio(text: str) -> None:
    with pytest.raises(InvalidAudioError, match="base64"):
        parse(type="audio", audio_data=text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELD_NAMES = st.sampled_from(
    [
        *("id", "mode", "language", "prompt", "audio_data", "encoding", "sample_rate", "channels", "stream"),
        *("delay_ms", "words", "partials", "recording", "session_id", "resume_token", "seq"),
        *("model", "max_new_tokens", "temperature", "top_p", "languages", "commit_delay"),
    ]
)


@settings(max_examples=150)
@given(st.sampled_from([*KINDS, None, "?"]), st.dictionaries(FIELD_NAMES, JSON_VALUES, max_size=6))
def test_any_fields_give_an_action_or_one_of_our_errors(kind: str | None, fields: dict[str, Any]) -> None:
    message = {"type": kind, **fields}
    refusal = refusal_of(message)
    if refusal is not None:
        assert refusal.code in {"missing_field", "unknown_type", "invalid_field", "invalid_audio"}
        assert not refusal.closes_connection
        wire = orjson.loads(native.error_message(refusal, request_id=request_id_of(message)))
        assert wire["code"] == refusal.code
        assert len(wire["message"]) < 300


def refusal_of(message: dict[str, Any]) -> VoxtralError | None:
    try:
        action = parse_message(message, DEFAULTS)
    except VoxtralError as error:
        return error
    assert isinstance(action, ACTIONS[message["type"]])
    return None


@settings(max_examples=150)
@given(st.text(max_size=200) | st.text('{}[]",:\\truefalsnl0123e+- ', max_size=60))
def test_any_text_gives_an_object_or_invalid_json(text: str) -> None:
    with contextlib.suppress(InvalidJsonError):
        assert isinstance(decode_message(text), dict)
