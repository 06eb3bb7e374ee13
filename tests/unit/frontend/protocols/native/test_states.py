"""The native protocol without I/O: every message, every wrong field, every state."""

import base64
import contextlib
import itertools
import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontend.protocols.base64_audio import decode_base64
from frontend.protocols.fields import MAX_ID_CHARS
from frontend.protocols.native import messages as commands
from frontend.protocols.native import states as native
from frontend.protocols.native.messages import decode_message, parse_command, request_id_of
from frontend.protocols.native.states import ACCEPTED, BINARY, IGNORED, MOVES, Move, NativeProtocol, State, Verdict
from frontend.protocols.options import MAX_MODEL_CHARS, MAX_NEW_TOKENS, MAX_PROMPT_CHARS
from shared.audio.pcm import AudioFormat
from shared.config.sections import AudioSettings
from shared.errors import (
    InvalidAudioError,
    InvalidFieldError,
    InvalidJsonError,
    MessageTooLargeError,
    MissingFieldError,
    ServerBusyError,
    UnknownTypeError,
    VoxtralError,
)
from shared.session_options import CommitDelay, Mode, SessionOptions

DEFAULTS = AudioSettings()
PCM = base64.b64encode(b"\x01\x02" * 8).decode()
ALL_KINDS = (BINARY, *commands.KINDS)


def parse(**message: Any) -> Any:
    return parse_command(decode_message(json.dumps(message)), DEFAULTS)


# --- what is understood -------------------------------------------------------------------------------------------


def test_the_smallest_one_shot_takes_the_defaults() -> None:
    assert parse(type="audio", audio_data=PCM) == commands.OneShot(
        request_id=None,
        options=SessionOptions(words=False, partials=False, recording=True),
        audio=b"\x01\x02" * 8,
        encoding=None,
        sample_rate=16_000,
        channels=1,
        stream=False,
    )


def test_a_one_shot_with_every_field() -> None:
    request = parse(
        type="audio",
        audio_data=PCM,
        mode="general",
        prompt="Say it in French.",
        language="de",
        id="r-1",
        encoding="pcmu",
        sample_rate=8000,
        channels=2,
        stream=True,
        model="Voxtral-Mini-3B-2507",
        max_new_tokens=200,
        temperature=0.7,
        top_p=0.9,
    )
    assert request.options == SessionOptions(
        Mode.GENERAL,
        "de",
        "Say it in French.",
        words=False,
        partials=True,
        recording=True,
        model="Voxtral-Mini-3B-2507",
        max_new_tokens=200,
        temperature=0.7,
        top_p=0.9,
    )
    assert (request.request_id, request.encoding, request.sample_rate, request.channels) == ("r-1", "pcmu", 8000, 2)
    assert request.stream


def test_start_with_every_field() -> None:
    command = parse(
        type="start",
        mode="transcribe",
        language="en",
        encoding="pcm_f32le",
        sample_rate=48_000,
        channels=2,
        languages=["de", "en", "de"],
        delay_ms=2400,
        commit_delay="fast",
        words=False,
        partials=False,
        prompt=None,
    )
    assert command.options == SessionOptions(
        Mode.TRANSCRIBE,
        "en",
        delay_ms=2400,
        words=False,
        partials=False,
        languages=("de", "en"),
        commit_delay=CommitDelay.FAST,
    )
    assert command.audio_format == AudioFormat("pcm_f32le", 48_000, 2)


def test_raw_audio_is_what_the_settings_say_unless_the_client_says_it() -> None:
    defaults = AudioSettings(sample_rate=8000, channels=2)
    command = parse_command({"type": "start"}, defaults)
    assert isinstance(command, commands.Start)
    assert command.audio_format == AudioFormat("pcm_s16le", 8000, 2)


def test_understanding_has_a_prompt_of_its_own() -> None:
    assert parse(type="start", mode="understand").options.prompt == "Describe what you hear in this audio."
    assert parse(type="start", mode="understand", prompt="Who speaks?").options.prompt == "Who speaks?"
    assert parse(type="start", mode="general").options.prompt is None


def test_the_other_messages() -> None:
    assert parse(type="ping", id=7) == commands.Ping(7)
    assert parse(type="status") == commands.Status(None)
    assert parse(type="chunk", audio_data=PCM) == commands.Chunk(b"\x01\x02" * 8)
    assert parse(type="commit") == commands.Commit()
    assert parse(type="stop") == commands.Stop()
    assert parse(type="cancel") == commands.Cancel()
    assert parse(type="resume", session_id="ab12", resume_token="t", seq=17) == commands.Resume(
        "ab12", "t", 17, AudioFormat()
    )


@pytest.mark.parametrize("prefix", ["data:audio/wav;base64,", "data:audio/webm;codecs=opus;base64,", "DATA:;BASE64,"])
@pytest.mark.parametrize("kind", ["audio", "chunk"])
def test_audio_may_be_a_data_url(kind: str, prefix: str) -> None:
    assert parse(type=kind, audio_data=prefix + PCM).audio == b"\x01\x02" * 8
    with pytest.raises(InvalidAudioError, match="audio_data is not base64"):
        parse(type=kind, audio_data=prefix.replace("64", "32") + PCM)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    started = parse(type="start", sample_rate=48000.0, channels=2.0, delay_ms=480.0, max_new_tokens=5.0)
    assert started.audio_format == AudioFormat("pcm_s16le", 48_000, 2)
    assert (started.options.delay_ms, started.options.max_new_tokens) == (480, 5)
    assert all(type(value) is int for value in (started.options.delay_ms, started.audio_format.sample_rate))
    assert parse(type="resume", session_id="a", resume_token="t", seq=3.0).seq == 3
    assert parse(type="commit", number=2.0).number == 2
    assert orjson.dumps(parse(type="ping", id=7.0).request_id) == b"7"


def test_audio_in_a_container_has_no_format() -> None:
    assert parse(type="start", encoding="container").audio_format is None
    assert parse(type="resume", session_id="a", resume_token="t", seq=0, encoding="container").audio_format is None
    assert parse(type="audio", audio_data=PCM, encoding="container").encoding == "container"


def test_configure_changes_the_format_of_the_audio() -> None:
    changes = parse(type="configure", encoding="pcmu", sample_rate=8000).audio_changes
    assert commands.changed_format(AudioFormat(), changes) == AudioFormat("pcmu", 8000)
    assert commands.changed_format(None, {"sample_rate": 48_000}) is None
    assert commands.changed_format(AudioFormat("pcmu", 8000), {"encoding": "container"}) is None
    assert commands.changed_format(None, {"encoding": "pcm_s16le"}) == AudioFormat()
    for field, value in (("encoding", "mp3"), ("sample_rate", 1), ("channels", 3)):
        with pytest.raises(InvalidFieldError, match=f"^{field} is "):
            parse(type="configure", **{field: value})


def test_configure_changes_only_what_is_given() -> None:
    assert parse(type="configure", language=None, delay_ms=480).changes == {"language": None, "delay_ms": 480}
    told = parse(type="configure", languages=["en"], commit_delay="accurate").changes
    assert told == {"languages": ("en",), "commit_delay": CommitDelay.ACCURATE}
    assert parse(type="configure", prompt="x").changes == {"prompt": "x"}
    sampling = {"max_new_tokens": 64, "temperature": None, "top_p": 0.5}
    assert parse(type="configure", **sampling).changes == sampling


@pytest.mark.parametrize("value", ["echo", "auto", None, 5])
def test_configure_cannot_change_the_model(value: Any) -> None:
    with pytest.raises(InvalidFieldError, match=r"^model is .*; allowed: in start only, which selects the model"):
        parse(type="configure", model=value, prompt="x")


def test_unknown_fields_are_passed_over_and_null_is_absent() -> None:
    nothing = dict.fromkeys(
        [
            *("mode", "language", "prompt", "encoding", "sample_rate", "channels", "stream", "id"),
            *("model", "max_new_tokens", "temperature", "top_p"),
        ]
    )
    assert parse(type="audio", audio_data=PCM, **nothing, later={"a": [1]}) == parse(type="audio", audio_data=PCM)


@pytest.mark.parametrize("delay_ms", [*range(80, 1201, 80), 2400])
def test_every_delay_of_the_model_is_allowed(delay_ms: int) -> None:
    assert parse(type="start", delay_ms=delay_ms).options.delay_ms == delay_ms


@pytest.mark.parametrize("kind", ["audio", "start"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("model", value) for value in ("auto", "m", "/models/größe", "x" * MAX_MODEL_CHARS)),
        *(("max_new_tokens", value) for value in (1, MAX_NEW_TOKENS)),
        *(("temperature", value) for value in (0, 0.0, 1, 1.5, 2, 2.0)),
        *(("top_p", value) for value in (1e-9, 0.5, 1, 1.0)),
    ],
)
def test_choices_of_the_model_reach_to_their_limits(kind: str, field: str, value: Any) -> None:
    assert getattr(parse(**{"type": kind, "audio_data": PCM, field: value}).options, field) == value


# --- what is refused ----------------------------------------------------------------------------------------------


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
        parse_command({"type": "start", field: value}, DEFAULTS)


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
        ({"type": "configure", "mode": "general"}, "language, languages, prompt, delay_ms"),
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


@pytest.mark.parametrize("size", [0, 1, 2, 3, 57, 786_431, 786_432, 786_433, 1_600_000])
def test_base64_of_any_length_is_decoded(size: int) -> None:
    audio = bytes(itertools.islice(itertools.cycle(range(256)), size))
    assert decode_base64(base64.b64encode(audio).decode(), "audio_data") == audio
    assert decode_base64(base64.encodebytes(audio).decode(), "audio_data") == audio  # with line breaks
    assert decode_base64(base64.encodebytes(audio).decode().replace("\n", "\r\n"), "audio_data") == audio


def test_padding_within_long_base64_is_refused() -> None:
    padded_slice = "A" * ((1 << 20) - 2) + "=="
    with pytest.raises(InvalidAudioError):
        decode_base64(padded_slice + "AAAA", "audio_data")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELD_NAMES = st.sampled_from(
    [
        *("id", "mode", "language", "prompt", "audio_data", "encoding", "sample_rate", "channels", "stream"),
        *("delay_ms", "words", "partials", "session_id", "resume_token", "seq"),
        *("model", "max_new_tokens", "temperature", "top_p", "languages", "commit_delay"),
    ]
)


@settings(max_examples=150)
@given(st.sampled_from([*commands.KINDS, None, "?"]), st.dictionaries(FIELD_NAMES, JSON_VALUES, max_size=6))
def test_any_fields_give_a_command_or_one_of_our_errors(kind: str | None, fields: dict[str, Any]) -> None:
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
        assert parse_command(message, DEFAULTS).kind == message["type"]
    except VoxtralError as error:
        return error
    return None


@settings(max_examples=150)
@given(st.text(max_size=200) | st.text('{}[]",:\\truefalsnl0123e+- ', max_size=60))
def test_any_text_gives_an_object_or_invalid_json(text: str) -> None:
    with contextlib.suppress(InvalidJsonError):
        assert isinstance(decode_message(text), dict)


# --- what may come when -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_every_kind_has_one_verdict_in_every_state(state: State) -> None:
    assert not ACCEPTED[state] & IGNORED[state]
    assert ACCEPTED[state] | IGNORED[state] <= set(ALL_KINDS)
    for kind in ALL_KINDS:
        protocol = NativeProtocol()
        protocol.state = state
        match native.verdict_on(state, kind):
            case Verdict.ACCEPT:
                assert protocol.admit(kind)
            case Verdict.IGNORE:
                assert not protocol.admit(kind)
            case Verdict.REFUSE:
                with pytest.raises(UnknownTypeError, match=f"^{kind} was sent while .*; expected now: ") as caught:
                    protocol.admit(kind)
                assert all(name in caught.value.message for name in ACCEPTED[state])
        assert protocol.state is state


@pytest.mark.parametrize("state", State)
def test_questions_about_the_service_are_always_allowed(state: State) -> None:
    assert {"ping", "status"} <= ACCEPTED[state]


def test_every_state_is_reached_and_left() -> None:
    assert set(MOVES.values()) == set(State)
    assert {state for state, _ in MOVES} == set(State)
    assert {move for _, move in MOVES} == set(Move)


def walk(*moves: Move) -> NativeProtocol:
    protocol = NativeProtocol()
    for move in moves:
        protocol.move(move)
    return protocol


@pytest.mark.parametrize("kind", [BINARY, "chunk", "commit", "configure", "stop"])
def test_nothing_of_a_session_is_allowed_before_start(kind: str) -> None:
    with pytest.raises(UnknownTypeError, match="no session is live; expected now: audio, ping, status, start, resume"):
        NativeProtocol().admit(kind)


@pytest.mark.parametrize("kind", ["start", "resume", "audio"])
def test_a_second_session_is_refused_while_one_is_live_and_waits_while_it_finishes(kind: str) -> None:
    protocol = walk(Move.OPENED)
    with pytest.raises(UnknownTypeError, match="a session is live"):
        protocol.admit(kind)
    assert not protocol.must_wait(kind)
    protocol.move(Move.STOPPED)
    assert protocol.must_wait(kind)
    protocol.move(Move.DONE)
    assert not protocol.must_wait(kind)
    assert protocol.admit(kind)


@pytest.mark.parametrize(
    ("moves", "situation"), [((), "no session is live"), ((Move.OPENED, Move.STOPPED), "the session is finishing")]
)
def test_audio_that_nobody_expects_is_refused_once(moves: tuple[Move, ...], situation: str) -> None:
    protocol = walk(*moves)
    with pytest.raises(UnknownTypeError, match=f"{situation}; expected now: "):
        protocol.admit(BINARY)
    assert [protocol.admit(kind) for kind in (BINARY, "chunk", BINARY)] == [False, False, False]
    for move in (Move.OPENED, Move.STOPPED) if not moves else (Move.DONE,):
        protocol.move(move)
    with pytest.raises(UnknownTypeError):
        protocol.admit("chunk")


@pytest.mark.parametrize(
    "moves", [(Move.REFUSED,), (Move.OPENED, Move.FAILED), (Move.OPENED, Move.STOPPED, Move.FAILED)]
)
@pytest.mark.parametrize("kind", [BINARY, "chunk", "commit", "configure", "stop", "cancel"])
def test_what_was_sent_before_the_client_knew_is_passed_over(moves: tuple[Move, ...], kind: str) -> None:
    protocol = walk(*moves)
    assert not protocol.admit(kind)
    assert protocol.admit("start")


def test_sessions_can_follow_one_another() -> None:
    protocol = walk(Move.OPENED, Move.STOPPED, Move.DONE, Move.OPENED, Move.CANCELLED)
    assert protocol.state is State.IDLE
    assert protocol.admit("start")


@pytest.mark.parametrize(("state", "move"), [pair for pair in itertools.product(State, Move) if pair not in MOVES])
def test_an_impossible_move_is_our_bug(state: State, move: Move) -> None:
    protocol = NativeProtocol()
    protocol.state = state
    with pytest.raises(AssertionError):
        protocol.move(move)


@pytest.mark.parametrize(
    ("text", "expected"), [("{}", True), ('{ \n "a', True), ("{", False), ("{a", False), ("{{", False)]
)
def test_what_can_begin_an_object_is_told_from_short_audio(text: str, expected: bool) -> None:
    assert native.looks_like_json(text) is expected


# --- what is answered ---------------------------------------------------------------------------------------------


def test_a_response_has_the_fields_that_existing_clients_read() -> None:
    request = parse(type="audio", audio_data=PCM, id="r")
    wire = orjson.loads(native.response(request, text="Hello.", processing_ms=312.44, audio_ms=5120))
    assert isinstance(wire.pop("timestamp"), float)
    assert wire == {
        "type": "response",
        "mode": "transcribe",
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
