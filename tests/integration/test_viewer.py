"""What one viewer of a session is shown, by how far it is behind."""

import asyncio
import json
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import uvloop
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from frontend.servers.direct_writes import Wire
from frontend.viewers.viewer import MAX_WAITING_BYTES, ROOM_FOR_PARTIALS_BYTES, Frame, Viewer
from shared.bus.event_log import LoggedEvent, parsed

NUMBERS = count(1)


class Slow(asyncio.Protocol):
    """A connection whose other end reads when it is told to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.wire = Wire(transport)  # type: ignore[arg-type]


async def connection() -> tuple[Wire, asyncio.StreamWriter, asyncio.Server]:
    made: asyncio.Future[Slow] = asyncio.get_running_loop().create_future()

    class Noted(Slow):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            made.set_result(self)

    server = await asyncio.get_running_loop().create_server(Noted, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1)
    return (await made).wire, writer, server


def frame(kind: str, **fields: Any) -> Frame:
    return Frame(parsed(json.dumps({"type": kind, "seq": next(NUMBERS), "segment": 0, **fields}).encode()))


async def test_a_viewer_that_is_behind_misses_partials_then_is_dropped() -> None:
    wire, writer, server = await connection()
    viewer = Viewer(wire, lambda frame: frame.sse, b":\n\n")
    while wire.waiting_bytes <= ROOM_FOR_PARTIALS_BYTES:
        viewer.show(frame("final", text="x" * 1000))
        await asyncio.sleep(0)
    before = wire.waiting_bytes
    viewer.show(frame("partial", text="left out"))
    viewer.beat()
    assert wire.waiting_bytes == before
    while not viewer.over.is_set():
        assert wire.waiting_bytes <= MAX_WAITING_BYTES
        viewer.show(frame("final", text="x" * 1000))
    assert viewer.error is not None
    assert viewer.error.code == "viewer_slow"
    after = wire.waiting_bytes
    viewer.show(frame("final", text="too late"))
    assert wire.waiting_bytes == after
    wire.abort()
    writer.close()
    server.close()


async def test_a_viewer_that_takes_nothing_is_dropped_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wire, writer, server = await connection()
    viewer = Viewer(wire, lambda frame: frame.sse, b":\n\n")
    while not wire.waiting_bytes:
        viewer.show(frame("final", text="x" * 1000))
        await asyncio.sleep(0)
    viewer.check()
    viewer.check()
    assert not viewer.over.is_set()
    monkeypatch.setattr("frontend.viewers.viewer.STALL_S", 0.0)
    while not viewer.over.is_set():
        viewer.check()
    assert viewer.error is not None
    assert viewer.error.code == "viewer_slow"
    assert "has not read any events for" in viewer.error.message
    wire.abort()
    writer.close()
    server.close()


async def test_a_viewer_with_nothing_to_read_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontend.viewers.viewer.STALL_S", -1.0)
    wire, writer, server = await connection()
    viewer = Viewer(wire, lambda frame: frame.sse, b":\n\n")
    viewer.check()
    viewer.check()
    assert not viewer.over.is_set()
    wire.abort()
    writer.close()
    server.close()


@pytest.mark.parametrize("length", [0, 60, 125, 126, 127, 65_535, 65_536, 70_000])
def test_websocket_frames_are_those_of_the_library(length: int) -> None:
    made = Frame(LoggedEvent(b"x" * length, {"type": "final"}))
    assert made.message == WebSocketFrame(Opcode.TEXT, made.raw).serialize(mask=False)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_viewer_whose_connection_has_ended_is_no_fault(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def begin() -> None:
        wire, writer, server = await connection()
        wire.abort()
        await asyncio.sleep(0)
        try:
            Viewer(wire, lambda frame: frame.sse, b":\n\n").show(frame("final", text="too late"))
        finally:
            writer.close()
            server.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(begin())
