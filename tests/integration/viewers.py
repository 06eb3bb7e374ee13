"""Viewers of a session, without any of our own code."""

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from websockets.exceptions import ConnectionClosed

from shared.bus import keys
from tests.integration.native_clients import Client, WebSocketClient, ask, until
from tests.limits import limit_s
from tests.stack import Stack

TIMEOUT_S = limit_s(15.0)
SECOND = b"\1\0" * 16_000


class Speaker:
    """A live session of the native protocol."""

    def __init__(self, stack: Stack) -> None:
        self.client: Client = WebSocketClient(stack.ws_url)
        self.ready = ask(self.client, type="start")
        self.session_id: str = self.ready["session_id"]
        self.token: str = self.ready["viewer_token"]
        self.path = f"/v1/sessions/{self.session_id}"

    def say(self, audio: bytes = SECOND[:3200]) -> dict[str, Any]:
        """Speak and end the segment; its final."""
        self.client.send_audio(audio)
        self.client.send_text('{"type": "commit"}')
        return until(self.client, "final")[-1]

    def stop(self) -> dict[str, Any]:
        self.client.send_text('{"type": "stop"}')
        return until(self.client, "done")[-1]


@contextlib.contextmanager
def speaking(stack: Stack) -> Iterator[Speaker]:
    speaker = Speaker(stack)
    try:
        yield speaker
    finally:
        # Otherwise the session would keep its slot, so that its client can resume it.
        with contextlib.suppress(ConnectionClosed):
            speaker.client.send_text('{"type": "cancel"}')
        speaker.client.close()


class SseViewer:
    """One stream of server-sent events, read as a browser reads it."""

    def __init__(
        self,
        url: str,
        path: str,
        token: str | None,
        last_event_id: object = None,
        *,
        receive_buffer_bytes: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port)
        self.socket: socket.socket = socket.socket()
        self.socket.settimeout(TIMEOUT_S)
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.connect((parts.hostname, parts.port))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=parts.hostname)
        self.connection.sock = self.socket
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        self.connection.request("GET", path, headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.retry_ms: int | None = None
        self.last_event_id: str | None = None

    def next(self) -> dict[str, Any] | None:
        """The next event; None at the end of the stream."""
        while line := self.response.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.last_event_id = value
            elif name == "retry":
                self.retry_ms = int(value)
            elif name == "data":
                event: dict[str, Any] = json.loads(value)
                assert str(event.get("seq", self.last_event_id)) == str(self.last_event_id)
                return event
        return None

    def rest(self) -> list[dict[str, Any]]:
        events = []
        while (event := self.next()) is not None:
            events.append(event)
        return events

    def error(self) -> dict[str, Any]:
        """The body of a rejection."""
        body: dict[str, Any] = json.load(self.response)
        return body["error"] | {"status": self.status}

    def close(self) -> None:
        self.response.close()
        self.connection.close()


async def subscribers(redis: Redis, session_id: str, count: int) -> None:
    """Wait until so many connections of Redis are subscribed to a session."""
    channel = keys.channel(session_id).encode()
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if await redis.pubsub_numsub(channel) == [(channel, count)]:
                return
            await asyncio.sleep(0.02)


def final_segments(events: list[dict[str, Any]]) -> list[int]:
    """The segments of the finals among them."""
    return [event["segment"] for event in events if event["type"] == "final"]


Read = Callable[..., SseViewer]
"""Requests a path and returns the answer."""
Watch = Callable[..., SseViewer]
"""Views a speaker's session."""


def socket_url(stack: Stack, speaker: Speaker, query: str = "") -> str:
    return f"{stack.web_url.replace('http', 'ws', 1)}{speaker.path}/events?token={speaker.token}{query}"


def next_finals(viewer: SseViewer, count: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    while len(told) < count:
        event = viewer.next()
        assert event is not None
        if event["type"] == "final":
            told.append(event)
    return told
