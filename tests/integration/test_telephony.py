"""Calls over the media streams of Twilio and Telnyx, with the messages of their documentation, against a running
service."""

import json
import secrets
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.integration.api_clients import request
from tests.integration.viewers import SseViewer
from tests.keys import KeyList
from tests.limits import limit_s
from tests.stack import Stack, wait_until
from tests.telephony import LOUD, proof, streaming, tell
from tests.unit.frontend.protocols.telephony.messages import (
    CONNECTED,
    DTMF,
    STOP,
    TELNYX_CONNECTED,
    TELNYX_STOP,
    start,
    telnyx_media,
    telnyx_start,
    twilio_media,
)

SERVICES = ("twilio", "telnyx")
PACKETS = 100
"""Two seconds."""


@pytest.fixture
def stream_id() -> str:
    """Each test has its own stream."""
    return f"MZ{secrets.token_hex(16)}"


def first(service: str, stream_id: str, *, both: bool = False) -> list[dict[str, Any]]:
    if service == "twilio":
        return [CONNECTED, start(stream_id, tracks=["inbound", "outbound"] if both else ["inbound"])]
    parameters = {"stream_track": "both_tracks"} if both else None
    return [TELNYX_CONNECTED, telnyx_start(stream_id, custom_parameters=parameters)]


def call_session(stack: Stack, service: str, stream_id: str, **headers: str) -> tuple[int, dict[str, Any]]:
    response, body = request(stack, "GET", f"/v1/telephony/{service}/streams/{stream_id}", headers)
    return response.status, json.loads(body)


def transcript(stack: Stack, session: dict[str, Any]) -> dict[str, Any]:
    path = f"/v1/sessions/{session['session_id']}/transcript.json"
    viewer = SseViewer(stack.web_url, path, session["viewer_token"])
    read: dict[str, Any] = json.loads(viewer.response.read())
    viewer.close()
    return read


def logged(stack: Stack, event: str, stream_id: str) -> dict[str, Any]:
    """The line about a stream."""

    def lines() -> list[dict[str, Any]]:
        return [line for line in stack.log(event) if line.get("stream_id") == stream_id]

    wait_until(lambda: len(lines()) == 1, f"{event} is logged")
    return lines()[0]


def unauthorized(stack: Stack) -> int:
    """How often clients of the service got this error."""
    counted: int = stack.status()["errors"]["by_code"].get("unauthorized", 0)
    return counted


@pytest.mark.parametrize("service", SERVICES)
def test_both_tracks_of_a_call_are_transcribed_and_viewed(stack: Stack, service: str, stream_id: str) -> None:
    assert call_session(stack, service, stream_id)[0] == 404
    media, stop = (twilio_media, STOP) if service == "twilio" else (telnyx_media, TELNYX_STOP)
    with streaming(stack.web_url, service) as client:
        tell(client, *first(service, stream_id, both=True))
        wait_until(lambda: call_session(stack, service, stream_id)[0] == 200, "the call has a session")
        for number in range(PACKETS):
            tell(client, media(LOUD, "inbound", 20 * number), media(LOUD, "outbound", 20 * number))
        tell(client, stop)
        assert list(client) == []
    read = transcript(stack, call_session(stack, service, stream_id)[1])
    assert read["complete"]
    ends = {segment["channel"]: segment["end"] for segment in sorted(read["segments"], key=lambda one: one["end"])}
    assert ends == {0: 2, 1: 2}
    line = logged(stack, "call_started", stream_id)
    assert (line["service"], line["session_id"]) == (service, call_session(stack, service, stream_id)[1]["session_id"])


def test_a_call_that_is_hung_up_is_transcribed_to_its_end(stack: Stack, stream_id: str) -> None:
    with streaming(stack.web_url, "twilio") as client:
        tell(client, *first("twilio", stream_id), DTMF, *(twilio_media(LOUD, at_ms=20 * n) for n in range(PACKETS)))
        wait_until(lambda: call_session(stack, "twilio", stream_id)[0] == 200, "the call has a session")
    session = call_session(stack, "twilio", stream_id)[1]
    wait_until(lambda: transcript(stack, session)["complete"], "the transcript is complete")
    assert transcript(stack, session)["segments"][-1]["end"] == 2


@pytest.mark.parametrize("service", SERVICES)
def test_a_handshake_without_the_proof_of_the_service_is_rejected_and_counted(stack: Stack, service: str) -> None:
    address = f"{stack.web_url.removeprefix('http://')}/v1/telephony/{service}"
    before = unauthorized(stack)
    for headers in ({"X-None": "x"}, proof(service, address, wrong=True)):
        with pytest.raises(InvalidStatus) as rejected, streaming(stack.web_url, service, **headers):
            pass
        assert rejected.value.response.status_code == 401
        message = json.loads(rejected.value.response.body)["error"]["message"]
        assert message.startswith("The handshake does not come from T")
    wait_until(lambda: unauthorized(stack) >= before + 2, "both are counted")


def test_an_error_closes_the_connection_and_is_logged(stack: Stack, stream_id: str) -> None:
    with streaming(stack.web_url, "telnyx", "?model=nothing") as client:
        tell(client, *first("telnyx", stream_id))
        with pytest.raises(ConnectionClosedError, match="1008"):
            client.recv(limit_s(20))
    line = logged(stack, "call_failed", stream_id)
    assert (line["service"], line["code"], line["level"]) == ("telnyx", "invalid_field", "warning")
    assert "model is 'nothing'" in line["reason"]
    assert call_session(stack, "telnyx", stream_id)[0] == 404


def test_a_message_that_is_too_large_closes_the_connection(stack: Stack, stream_id: str) -> None:
    with streaming(stack.web_url, "twilio") as client:
        tell(client, *first("twilio", stream_id))
        client.send("x" * 100_000)
        with pytest.raises(ConnectionClosedError, match="1009"):
            client.recv(limit_s(20))


def test_a_stream_that_is_sent_twice_has_one_session(stack: Stack, stream_id: str) -> None:
    with streaming(stack.web_url, "twilio") as client:
        tell(client, *first("twilio", stream_id), twilio_media(LOUD))
        wait_until(lambda: call_session(stack, "twilio", stream_id)[0] == 200, "the call has a session")
        with streaming(stack.web_url, "twilio") as other:
            tell(other, *first("twilio", stream_id))
            with pytest.raises(ConnectionClosedError, match="session_resumed"):
                other.recv(limit_s(20))
        tell(client, STOP)
        assert list(client) == []


def test_of_two_handshakes_of_one_stream_at_the_same_moment_one_is_rejected(stack: Stack, stream_id: str) -> None:
    with streaming(stack.web_url, "twilio") as one, streaming(stack.web_url, "twilio") as other:
        for client in (one, other):
            tell(client, *first("twilio", stream_id))
        wait_until(lambda: (one.close_code, other.close_code) != (None, None), "one is closed")
        rejected, serving = (one, other) if other.close_code is None else (other, one)
        assert rejected.close_reason == "session_resumed"
        tell(serving, twilio_media(LOUD), STOP)
        assert list(serving) == []
    line = logged(stack, "call_failed", stream_id)
    assert line["code"] == "session_resumed"


def test_calls_belong_to_the_key_of_the_protocol_and_its_limits_hold(
    keyed_stack: Stack, key_list: KeyList, stream_id: str
) -> None:
    """The keys of protocols allow one session."""

    def bearer(name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key_list.keys[name]}"}

    def found(service: str, **headers: str) -> int:
        return call_session(keyed_stack, service, stream_id, **headers)[0]

    with streaming(keyed_stack.web_url, "twilio") as client:
        tell(client, *first("twilio", stream_id), twilio_media(LOUD))
        wait_until(lambda: found("twilio", **bearer("twilio")) == 200, "the call has a session")
        assert found("twilio", **bearer("anna")) == 404
        assert found("telnyx", **bearer("telnyx")) == 404
        status, answer = call_session(keyed_stack, "openai", stream_id, **bearer("twilio"))
        assert (status, "allowed: 'twilio' or 'telnyx'" in answer["error"]["message"]) == (400, True)
        body = b"{}"
        headers = {**bearer("twilio"), "Content-Type": "application/json"}
        _, made = request(keyed_stack, "POST", "/v1/realtime/client_secrets", headers, body)
        assert found("twilio", Authorization=f"Bearer {json.loads(made)['value']}") == 403
        assert found("twilio") == 401
        with streaming(keyed_stack.web_url, "twilio") as other:
            tell(other, *first("twilio", f"{stream_id}2"))
            with pytest.raises(ConnectionClosedError, match="rate_limited"):
                other.recv(limit_s(20))
        tell(client, STOP)
        assert list(client) == []
        session_id = call_session(keyed_stack, "twilio", stream_id, **bearer("twilio"))[1]["session_id"]

    def ended() -> list[str | None]:
        return [line["name"] for line in keyed_stack.log("session_ended") if line["session_id"] == session_id]

    wait_until(lambda: ended() == ["twilio"], "the log names the key of the session")
    response, _ = request(keyed_stack, "DELETE", f"/v1/sessions/{session_id}", bearer("twilio"))
    assert response.status == 204
    assert found("twilio", **bearer("twilio")) == 404


def test_handshakes_count_as_requests_of_the_key(keyed_stack: Stack) -> None:
    """The key for Telnyx allows ten a minute."""

    def call() -> None:
        for _ in range(50):
            with streaming(keyed_stack.web_url, "telnyx"):
                pass

    with pytest.raises(InvalidStatus) as rejected:
        call()
    assert rejected.value.response.status_code == 429
    reason = json.loads(rejected.value.response.body)["error"]["message"]

    def logged_reasons() -> list[str]:
        return [line["reason"] for line in keyed_stack.log("access_rejected") if line.get("name") == "telnyx"]

    wait_until(lambda: reason in logged_reasons(), "the rejection is logged")
