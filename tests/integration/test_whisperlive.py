"""A client of WhisperLive against a running service: the messages of its client, version 0.10.0."""

import array
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.certificates import Certificate
from tests.integration.native_clients import tone
from tests.keys import KeyList
from tests.limits import limit_s
from tests.stack import Stack
from tests.unit.frontend.protocols.whisperlive.test_whisperlive import OPTIONS, READY

TIMEOUT_S = limit_s(30.0)
FLOATS = array.array("f", (sample / 32_768 for sample in array.array("h", tone(2.0)))).tobytes()


@contextmanager
def connected(stack: Stack, **changes: Any) -> Iterator[ClientConnection]:
    with connect(stack.ws_url) as client:
        client.send(json.dumps({**OPTIONS, **changes}))
        yield client


def rest(client: ClientConnection) -> list[dict[str, Any]]:
    """All messages until the service closes the connection. It raises an error for a code other than 1000."""
    return [json.loads(message) for message in client]


def test_a_stream_is_transcribed(stack: Stack) -> None:
    with connected(stack) as client:
        assert json.loads(client.recv(TIMEOUT_S)) == READY
        for start in range(0, len(FLOATS), 16_384):
            client.send(FLOATS[start : start + 16_384])
        client.send(b"END_OF_AUDIO")
        messages = rest(client)
    segments = messages[-1]["segments"]
    assert all(segment["completed"] for segment in segments)
    assert all(segment["text"].startswith(" ") for segment in segments)
    assert float(segments[-1]["end"]) <= 2


@pytest.mark.parametrize(
    ("changes", "part"), [({"model": "nothing"}, "model is 'nothing'"), ({"task": "sing"}, "task is 'sing'")]
)
def test_an_error_ends_the_connection(stack: Stack, changes: dict[str, str], part: str) -> None:
    with connected(stack, **changes) as client:
        [told] = rest(client)
    assert (told["uid"], told["status"]) == ("u1", "ERROR")
    assert part in told["message"]


def test_audio_that_is_no_number_is_an_error(stack: Stack) -> None:
    with connected(stack) as client:
        client.send(b"\xff" * 64)
        assert rest(client)[-1]["status"] == "ERROR"


def test_clients_use_the_key_of_the_protocol(keyed_stack: Stack, key_list: KeyList) -> None:
    """The key `whisperlive` allows one session."""
    with connected(keyed_stack) as client:
        assert json.loads(client.recv(TIMEOUT_S)) == READY
        with connected(keyed_stack) as other:
            [told] = rest(other)
        assert told["status"] == "WAIT"
        assert told["message"] > 0
        client.send(b"END_OF_AUDIO")
        assert rest(client) == []


def test_it_is_off_by_default(tls_stack: Stack, certificate: Certificate) -> None:
    port = tls_stack.settings.websocket_port
    with connect(f"wss://localhost:{port}", ssl=certificate.trust) as client:
        client.send(json.dumps(OPTIONS))
        assert json.loads(client.recv(TIMEOUT_S))["code"] == "missing_field"
