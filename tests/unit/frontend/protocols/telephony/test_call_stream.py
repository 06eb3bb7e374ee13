"""Media streams of Twilio and Telnyx without a network: their documented messages, and damaged ones."""

import contextlib
import json
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.access.session_tokens import SessionIdentity
from frontend.protocols.dialect import Action, Append, Finish, Hangup, Open
from frontend.protocols.telephony import telnyx, twilio
from frontend.protocols.telephony.call_stream import CallStream
from shared.audio.pcm import AudioFormat
from shared.bus.event_log import LoggedEvent
from shared.errors import VoxtralError
from shared.session_options import KeyTerm
from tests.socket_messages import message_validator
from tests.unit.frontend.protocols.telephony.messages import (
    CALL,
    CONNECTED,
    DTMF,
    MARK,
    MULAW,
    PCMU,
    STOP,
    STREAM,
    TELNYX_CALL,
    TELNYX_CONNECTED,
    TELNYX_DTMF,
    TELNYX_ERROR,
    TELNYX_STOP,
    TELNYX_STREAM,
    media,
    start,
    telnyx_media,
    telnyx_start,
    twilio_media,
)

A, B, C = b"\1" * 160, b"\2" * 160, b"\3" * 160
IDENTITY = SessionIdentity("0123456789abcdef", "token")


def of_twilio() -> CallStream:
    return CallStream(twilio.parse_start, lambda _: IDENTITY)


def of_telnyx(**query: str) -> CallStream:
    return CallStream(partial(telnyx.parse_start, query=query), lambda _: IDENTITY)


def tell(stream: CallStream, *messages: dict[str, Any]) -> list[Action]:
    """All actions, as a connection would collect them."""
    taken: list[Action] = []
    for message in messages:
        text = json.dumps(message)
        try:
            taken += stream.receive(text)
        except VoxtralError as error:
            taken += stream.refuse(error, text)
    return taken


def documented(service: str, *messages: dict[str, Any]) -> None:
    for message in messages:
        message_validator(f"{service}{message['event'].capitalize()}").validate(message)


def say(stream: CallStream, **wire: Any) -> list[Action]:
    return list(stream.render(LoggedEvent(orjson.dumps(wire), wire)))


def opened(stream: CallStream, *messages: dict[str, Any]) -> Open:
    [opening] = tell(stream, *messages)
    assert isinstance(opening, Open), opening
    return opening


def test_a_call_of_twilio_is_transcribed() -> None:
    stream = of_twilio()
    documented("twilio", CONNECTED, start(), twilio_media(A), DTMF, MARK, STOP)
    opening = opened(stream, CONNECTED, start())
    assert (opening.options.channels, opening.audio_format) == (None, AudioFormat("pcmu", 8000, 1))
    assert opening.identity == IDENTITY
    assert stream.call is not None
    assert (stream.call.stream_id, stream.call.call_id) == (STREAM, CALL)
    assert say(stream, type="ready", session_id="s1", viewer_token="v1") == []
    assert tell(stream, twilio_media(A), DTMF, MARK, {"event": "new"}) == [Append(A)]
    assert tell(stream, STOP, STOP, twilio_media(A)) == [Finish()]
    assert say(stream, type="final", segment=0, text="Hi.", start=0, end=1) == []
    assert say(stream, type="done", text="Hi.", duration=1) == [Hangup(1000, "")]


def test_a_call_of_telnyx_is_transcribed() -> None:
    stream = of_telnyx()
    documented("telnyx", TELNYX_CONNECTED, telnyx_start(), telnyx_media(A), TELNYX_DTMF, TELNYX_ERROR, TELNYX_STOP)
    opening = opened(stream, TELNYX_CONNECTED, telnyx_start())
    assert (opening.options.channels, opening.audio_format) == (None, AudioFormat("pcmu", 8000, 1))
    assert stream.call is not None
    assert (stream.call.stream_id, stream.call.call_id) == (TELNYX_STREAM, TELNYX_CALL)
    assert tell(stream, telnyx_media(A), TELNYX_DTMF, TELNYX_ERROR) == [Append(A)]
    assert tell(stream, TELNYX_STOP) == [Finish()]


def test_the_codec_of_a_call_in_europe_is_a_law() -> None:
    opening = opened(of_telnyx(), telnyx_start(media_format={**PCMU, "encoding": "PCMA"}))
    assert opening.audio_format == AudioFormat("pcma", 8000, 1)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (of_twilio(), start(tracks=["outbound", "inbound"])),
        (of_telnyx(), telnyx_start(custom_parameters={"stream_track": "both_tracks"})),
        (of_telnyx(stream_track="both_tracks"), telnyx_start()),
    ],
)
def test_both_tracks_are_channels(stream: CallStream, message: dict[str, Any]) -> None:
    opening = opened(stream, message)
    assert (opening.options.channels, opening.audio_format) == (2, AudioFormat("pcmu", 8000, 2, separate=True))
    assert opening.options.slots == 2
    sent = tell(stream, media(A), media(B, "outbound"), media(C, "outbound", 20), STOP)
    assert sent == [Append(b"\1\2" * 160), Append(b"\xff\3" * 160), Finish()]


@pytest.mark.parametrize(
    ("timestamp", "gap_ms"), [("1000", 1000), (1000, 1000), ("x", 0), (-5, 0), (True, 0), ("9" * 13, 0)]
)
def test_the_time_of_a_packet_is_a_number_of_milliseconds(timestamp: object, gap_ms: int) -> None:
    stream = of_twilio()
    tell(stream, start())
    packet = {"event": "media", "media": {**media(A)["media"], "timestamp": timestamp}}
    sent = b"".join(action.audio for action in tell(stream, packet, STOP) if isinstance(action, Append))
    assert sent == b"\xff" * 8 * gap_ms + A


def test_custom_parameters_choose_options() -> None:
    parameters = {"language": "de-DE", "model": "whisper-base", "prompt": "", "keyterms": "Ann Lee, Zyrtalin", "x": "y"}
    more = {"diarize": "true", "numerals": "true", "words": "false"}
    query = {**parameters, "language": "fr"}
    for opening in (
        opened(of_twilio(), start(customParameters={**parameters, **more})),
        opened(of_telnyx(), telnyx_start(custom_parameters={**parameters, **more})),
        opened(of_telnyx(**query), telnyx_start(custom_parameters={"language": "de", **more})),
    ):
        options = opening.options
        assert (options.language, options.model, options.prompt) == ("de", "whisper-base", None)
        assert options.keyterms == (KeyTerm("Ann Lee"), KeyTerm("Zyrtalin"))
        assert (options.diarize, options.numerals, options.words) == (True, True, False)


def test_a_stream_of_telnyx_may_have_the_outbound_track_alone() -> None:
    stream = of_telnyx(stream_track="outbound_track")
    assert tell(stream, telnyx_start(), telnyx_media(A, "outbound"))[-1] == Append(A)
    assert tell(stream, telnyx_media(A, "inbound")) == [Hangup(1008, "invalid_field")]


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([media(A)], "unknown_type"),
        ([start(), start()], "unknown_type"),
        ([{"event": "start"}], "missing_field"),
        ([{"event": "start", "start": []}], "invalid_field"),
        ([start(callSid="")], "invalid_field"),
        ([start(streamSid="x" * 129)], "invalid_field"),
        ([start(tracks=["both"])], "invalid_field"),
        ([start(tracks=[[]])], "invalid_field"),
        ([start(mediaFormat={**MULAW, "sampleRate": 16000})], "invalid_field"),
        ([start(customParameters={"language": "??"})], "invalid_field"),
        ([start(customParameters={"language": 1})], "invalid_field"),
        ([start(customParameters={"language": "fr", "languages": "en,de"})], "invalid_field"),
        ([start(), media(A, "outbound")], "invalid_field"),
        ([start(), {"event": "media", "media": {"track": "inbound", "payload": "?"}}], "invalid_audio"),
        ([start(), {"event": "media", "media": {"track": "inbound"}}], "invalid_field"),
    ],
)
def test_an_error_closes_the_connection(messages: list[dict[str, Any]], code: str) -> None:
    assert tell(of_twilio(), *messages)[-1] == Hangup(1008, code)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"media_format": {**PCMU, "encoding": "OPUS"}}, "PCMU, PCMA: start the stream with stream_codec PCMU"),
        ({"media_format": {**PCMU, "encoding": []}}, "start.media_format.encoding is []"),
        ({"media_format": {**PCMU, "sample_rate": 16000}}, "start.media_format.sample_rate is 16000; allowed: 8000."),
        ({"media_format": None}, "The field media_format is missing"),
        ({"call_control_id": 1}, "start.call_control_id is 1"),
        ({"custom_parameters": {"stream_track": "both"}}, "allowed: inbound_track, outbound_track, both_tracks."),
        ({"custom_parameters": {"stream_track": []}}, "allowed: inbound_track, outbound_track, both_tracks."),
        ({"custom_parameters": []}, "custom_parameters is []"),
        ({"custom_parameters": {"language": "??"}}, "custom_parameters.language is '??'"),
        ({"custom_parameters": {"prompt": "secret" * 2000}}, "custom_parameters.prompt is '…'"),
        ({"custom_parameters": {"redact_terms": "secret" * 20}}, "custom_parameters.redact_terms is '…'"),
    ],
)
def test_errors_name_what_is_wrong_without_free_text(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(VoxtralError) as raised:
        of_telnyx().receive(json.dumps(telnyx_start(**changes)))
    assert part in raised.value.message
    assert "secret" not in raised.value.message


def test_a_failed_session_closes_the_connection() -> None:
    stream = of_twilio()
    tell(stream, start())
    assert say(stream, type="error", code="server_busy", message="Full.") == [Hangup(1013, "server_busy")]
    assert tell(of_twilio(), STOP) == [Hangup(1000, "")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.sampled_from(["connected", "start", "media", "stop", "mark", "dtmf", "error"])
FIELDS = st.sampled_from([*start()["start"], *telnyx_start()["start"], *media(b"")["media"], "custom_parameters"])


@pytest.mark.parametrize(
    ("new", "first"), [(of_twilio, start(tracks=["inbound", "outbound"])), (of_telnyx, telnyx_start())]
)
@given(
    events=st.lists(st.tuples(EVENTS, st.dictionaries(FIELDS, JSON) | JSON), max_size=4),
    has_started=st.booleans(),
    text=st.text() | st.binary(),
)
def test_any_messages_are_answered_or_rejected(
    new: Any, first: dict[str, Any], events: list[tuple[str, Any]], has_started: bool, text: str | bytes
) -> None:
    stream = new()
    if has_started:
        tell(stream, first)
    for kind, content in events:
        taken = tell(stream, {"event": kind, kind: content})
        if isinstance(content, dict):
            taken += tell(stream, {**first, "start": {**first["start"], **content}})
            taken += tell(stream, {"event": "media", "media": {**media(A)["media"], **content}})
        assert all(isinstance(action, Open | Append | Finish | Hangup) for action in taken)
    with contextlib.suppress(VoxtralError):
        stream.receive(text)
