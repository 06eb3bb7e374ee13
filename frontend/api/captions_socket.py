"""Live captions over WebSocket: a viewer gets the events of a session, one message each, and sends nothing."""

import asyncio
from typing import Final

import structlog
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from frontend.access.guard import STRANGER_MESSAGE_MAX
from frontend.api.viewer_fields import last_seq_in, viewer_token_in
from frontend.protocols.close_codes import CLOSE_CODES
from frontend.servers.direct_writes import Wire, inbox_of, wire_of
from frontend.viewers.viewer import Frame, Viewer, error_frame
from frontend.viewers.viewers import Place, Viewers

PING: Final = b"\x89\x00"
"""Browsers answer it automatically."""
CLOSE_TIMEOUT_S: Final = 5.0
VIEWERS_ONLY_LISTEN: Final = 1008

log = structlog.get_logger(__name__)


async def serve_viewer(viewers: Viewers, websocket: WebSocket, session_id: str) -> None:
    """Send the events of the session until it ends or the viewer disconnects."""
    after_seq = last_seq_in(websocket)
    async with viewers.place(session_id, viewer_token_in(websocket)) as place:
        inbox_of(websocket.scope).restrict(STRANGER_MESSAGE_MAX)  # viewers only listen
        await websocket.accept()
        await _show(websocket, place, after_seq)


async def _show(websocket: WebSocket, place: Place, after_seq: int) -> None:
    wire = wire_of(websocket.scope)
    viewer = Viewer(wire, lambda frame: frame.message, PING)

    async def tell(frame: Frame) -> None:
        await websocket.send_text(frame.raw.decode())

    said = await place.follow(viewer, after_seq, tell, websocket.receive())
    if said is None or said["type"] != "websocket.disconnect":
        await _close(websocket, wire, viewer, has_spoken=said is not None)


async def _close(websocket: WebSocket, wire: Wire, viewer: Viewer, *, has_spoken: bool) -> None:
    code, reason = 1000, ""
    if has_spoken:
        code, reason = VIEWERS_ONLY_LISTEN, "Viewers cannot send messages."
    elif viewer.error is not None:
        code, reason = CLOSE_CODES.get(viewer.error.code, 1000), viewer.error.code
        log.info("viewer_dropped", code=reason, reason=viewer.error.message)
    # Data that a viewer does not read delays the end of its connection, so the delay has a limit.
    cut = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, wire.abort)
    try:
        if viewer.error is not None:
            await websocket.send_text(error_frame(viewer.error).raw.decode())
        await websocket.close(code, reason)
    except (WebSocketDisconnect, RuntimeError, OSError):
        pass  # it has disconnected
    finally:
        cut.cancel()
