"""WebSockets to addresses where there is none, and requests that are none to the addresses of WebSockets."""

import http.client
import json
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from mistralai.client import Mistral
from mistralai.extra.exceptions import RealtimeTranscriptionException
from openai import OpenAI
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.sync.client import connect

from tests.integration.api_clients import request
from tests.limits import limit_s
from tests.stack import Stack

# The SDK opens its connections as websockets before 17.1 wanted it.
pytestmark = pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")

OPENAI, MISTRAL = "/v1/realtime", "/v1/audio/transcriptions/realtime"


def refused(stack: Stack, path: str) -> Response:
    with pytest.raises(InvalidStatus) as refusal, connect(f"{stack.web_url.replace('http', 'ws', 1)}{path}"):
        pass
    return refusal.value.response


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/realtime/", OPENAI),
        ("/v1/v1/realtime", OPENAI),
        ("/v1//realtime", OPENAI),
        (f"/v1{MISTRAL}", MISTRAL),
        ("/v1/sessions/x/events/", "/v1/sessions/x/events"),
        ("/v1/ws", "/ws"),
        ("/v1/models", None),
        ("/v1/nothing", None),
        ("/v1/", None),
    ],
)
def test_stray_under_v1_is_told_in_either_dialect(stack: Stack, path: str, meant: str | None) -> None:
    message = f"There is no WebSocket at {path}." + (f" Did you mean {meant}?" if meant else "")
    fault = {"message": message, "type": "invalid_request_error", "param": None, "code": "not_found"}
    for query, body in (("", {"error": fault}), ("?dialect=mistral", {"object": "error"} | fault)):
        response = refused(stack, path + query)
        assert (response.status_code, response.headers["content-type"]) == (404, "application/json")
        assert json.loads(response.body) == body


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/realtime?intent=transcription", OPENAI),
        ("/audio/transcriptions/realtime", MISTRAL),
        ("//v1/realtime", OPENAI),
        ("/sessions/x/events", "/v1/sessions/x/events"),
        ("/ws/", "/ws"),
        ("/", None),
        ("/v1", None),
        ("/docs", None),
        ("/index.html", None),
        (f"/{'x' * 1000}", None),
    ],
)
def test_stray_elsewhere_is_told_in_text(stack: Stack, path: str, meant: str | None) -> None:
    response = refused(stack, path)
    assert (response.status_code, response.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    at = path.partition("?")[0][:200]
    assert response.body.decode() == f"There is no WebSocket at {at}." + (f" Did you mean {meant}?" if meant else "")


def test_openai_sdk_without_v1_in_its_address_is_told(stack: Stack) -> None:
    client = OpenAI(api_key="unused", base_url=stack.web_url)
    with pytest.raises(InvalidStatus) as refusal, client.realtime.connect(extra_query={"intent": "transcription"}):
        pass
    assert refusal.value.response.status_code == 404
    assert refusal.value.response.body == b"There is no WebSocket at /realtime. Did you mean /v1/realtime?"


async def test_mistral_sdk_with_v1_in_its_address_is_told(stack: Stack) -> None:
    realtime = Mistral(api_key="unused", server_url=f"{stack.web_url}/v1").audio.realtime
    with pytest.raises(RealtimeTranscriptionException) as failure:
        await realtime.connect("auto")
    refusal = failure.value.__cause__
    assert isinstance(refusal, InvalidStatus)
    assert refusal.response.status_code == 404
    body = json.loads(refusal.response.body)
    assert (body["object"], body["message"].partition(". ")[2]) == ("error", f"Did you mean {MISTRAL}?")


@pytest.mark.parametrize("path", [OPENAI, MISTRAL, f"{OPENAI}?intent=transcription"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_plain_request_to_a_websocket_is_told_to_upgrade(stack: Stack, path: str, method: str) -> None:
    response, body = request(stack, method, path)
    assert (response.status, response.headers["upgrade"], response.headers["connection"]) == (
        426,
        "websocket",
        "upgrade",
    )
    if method != "HEAD":
        error = json.loads(body)["error"]
        assert error["code"] == "upgrade_required"
        assert error["message"].startswith(f"{path.partition('?')[0]} is the address of a WebSocket: use ws://")


def test_connection_continues_after_the_answer(stack: Stack) -> None:
    """Which names another protocol, but does not change to it."""
    connection = http.client.HTTPConnection(urlsplit(stack.web_url).netloc, timeout=limit_s(20))
    with closing(connection):
        for path, status in ((OPENAI, 426), ("/v1/models", 200)):
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            assert response.status == status


def test_stray_without_a_key_is_asked_for_one(keyed_stack: Stack) -> None:
    assert refused(keyed_stack, "/v1/realtime/").status_code == 401
    assert refused(keyed_stack, "/realtime").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/v1/nothing", 404),
        ("/v1/realtime?dialect=x", 400),
        ("/v1/sessions/x/events", 401),
        ("/v1/realtime?viewer_token=x", 400),
    ],
)
def test_refused_handshake_has_a_request_id(stack: Stack, path: str, status: int) -> None:
    first, second = refused(stack, path), refused(stack, path)
    assert first.status_code == second.status_code == status
    assert first.headers["x-request-id"].startswith("req_")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_handshake_without_a_key_has_a_request_id(keyed_stack: Stack) -> None:
    response = refused(keyed_stack, OPENAI)
    assert (response.status_code, response.headers["x-request-id"][:4]) == (401, "req_")
