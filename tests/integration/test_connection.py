"""The connection driver where no real socket leads: our own failures, over a transport in memory and a real gateway."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from frontend.process import FrontendProcess
from tests.integration.native_clients import base64_of, tone
from tests.limits import limit_s
from tests.stack import Stack

TIMEOUT_S = limit_s(10)


class BrokenTransport:
    """Gives the messages it was made with; the last may be an exception, which stands for a bug of ours."""

    guesses_text = False
    heard_at_s = 0.0
    address = "127.0.0.1"

    def __init__(self, *incoming: str | bytes | Exception, breaks_on: str | None = None) -> None:
        self._incoming = list(incoming)
        self._breaks_on = breaks_on
        self.sent: list[dict[str, Any]] = []
        self._has_sent = asyncio.Event()
        self.closed_with: tuple[int, str] | None = None
        self.gone = self.closed = False

    def restrict(self, limit_bytes: int) -> None:
        pass

    def trust(self) -> None:
        pass

    async def receive(self) -> str | bytes | None:
        if not self._incoming:
            await asyncio.Event().wait()
        message = self._incoming.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, text: bytes) -> None:
        wire = json.loads(text)
        if wire["type"] == self._breaks_on:
            raise RuntimeError("the inside of the server")
        self.sent.append(wire)
        self._has_sent.set()

    async def has_sent(self, kind: str) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not any(wire["type"] == kind for wire in self.sent):
                self._has_sent.clear()
                await self._has_sent.wait()

    async def close(self, code: int, reason: str) -> None:
        self.closed_with = (code, reason)

    def abort(self) -> None:
        self.gone = True


@pytest.fixture
async def frontend(stack: Stack) -> AsyncIterator[FrontendProcess]:
    async with FrontendProcess.running(stack.settings, "test") as running:
        yield running


async def serve(transport: BrokenTransport, frontend: FrontendProcess) -> list[str]:
    """Serve until the connection ends; returns the incidents that were logged."""
    with capture_logs() as lines:
        async with asyncio.timeout(TIMEOUT_S):
            await frontend.connections.serve_native(transport)
    return [line["incident"] for line in lines if line["event"] == "internal_error" and line["exc_info"]]


async def test_internal_failure_is_reported_only_by_its_incident(frontend: FrontendProcess) -> None:
    transport = BrokenTransport('{"type": "ping"}', RuntimeError("the inside of the server"))
    (incident,) = await serve(transport, frontend)
    assert [message["type"] for message in transport.sent] == ["pong", "error"]
    assert transport.sent[1]["code"] == "internal_error"
    assert incident in transport.sent[1]["message"]
    assert "inside" not in json.dumps(transport.sent)
    assert transport.closed_with == (1011, "internal_error")


async def test_a_failure_in_a_one_shot_leaves_the_connection_open(frontend: FrontendProcess) -> None:
    request = json.dumps({"type": "audio", "audio_data": base64_of(tone(0.5)), "id": 3})
    transport = BrokenTransport(request, '{"type": "ping"}', None, breaks_on="response")
    (incident,) = await serve(transport, frontend)
    assert [message["type"] for message in transport.sent] == ["error", "pong"]
    assert transport.sent[0]["id"] == 3
    assert incident in transport.sent[0]["message"]
    assert transport.closed_with == (1000, "")


async def test_a_failure_in_a_live_session_gives_only_the_session_up(frontend: FrontendProcess) -> None:
    transport = BrokenTransport('{"type": "start"}', tone(0.1), '{"type": "stop"}', breaks_on="final")
    with capture_logs():
        serving = asyncio.create_task(frontend.connections.serve_native(transport))
        await transport.has_sent("error")
    assert transport.sent[-1]["code"] == "internal_error"
    assert transport.sent[-1]["session_id"] == transport.sent[0]["session_id"]
    assert transport.sent[-1]["seq"] > max(message.get("seq", 0) for message in transport.sent[:-1])
    assert not serving.done()
    serving.cancel()
    await serving
    assert transport.closed_with == (1012, "server stops")
    assert frontend.tally.connected_clients == 0


async def test_a_cancelled_connection_says_goodbye(frontend: FrontendProcess) -> None:
    transport = BrokenTransport('{"type": "start"}')
    serving = asyncio.create_task(frontend.connections.serve_native(transport))
    await transport.has_sent("ready")
    assert len(frontend.gateway.sessions) == 1
    serving.cancel()
    await serving
    assert transport.closed_with == (1012, "server stops")
    assert len(frontend.gateway.sessions) == 0
