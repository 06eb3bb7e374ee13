"""A session's events as an HTTP response of server-sent events, for one viewer."""

import asyncio
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from frontend.servers.asgi import client_left, stream_start
from frontend.servers.direct_writes import wire_of
from frontend.viewers.viewer import Frame, Viewer, chunk, error_frame
from frontend.viewers.viewers import Place, Viewers

MEDIA_TYPE: Final = "text/event-stream"
RETRY_MS: Final = 2000
"""How long a browser waits before it reconnects."""
HEARTBEAT: Final = b":\n\n"
CLOSE_TIMEOUT_S: Final = 5.0
"""How long the end of the stream may take: then a viewer that does not read it is disconnected."""

log = structlog.get_logger(__name__)


class EventStream(Response):
    """Raises what `Viewers.place` raises, before it begins."""

    media_type = MEDIA_TYPE

    def __init__(self, viewers: Viewers, session_id: str, token: str, after_seq: int) -> None:
        super().__init__()
        self._viewers = viewers
        self._session_id = session_id
        self._token = token
        self._after_seq = after_seq

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._viewers.place(self._session_id, self._token) as place:
            if place.has_all(self._after_seq):
                # A browser reconnects whenever a stream ends; only this status makes it stop.
                await Response(status_code=204)(scope, receive, send)
                return
            await send(stream_start())
            await _send(send, b"retry: %d\n\n" % RETRY_MS)
            await self._show(place, scope, receive, send)

    async def _show(self, place: Place, scope: Scope, receive: Receive, send: Send) -> None:
        wire = wire_of(scope)
        # Chunks exist only in HTTP/1.1; for an older client, such as nginx as a proxy, the end of the connection is the
        # end.
        if scope["http_version"] == "1.1":
            viewer = Viewer(wire, lambda frame: frame.sse_chunk, chunk(HEARTBEAT))
        else:
            viewer = Viewer(wire, lambda frame: frame.sse, HEARTBEAT)

        async def tell(frame: Frame) -> None:
            await _send(send, frame.sse)

        await place.follow(viewer, self._after_seq, tell, client_left(receive))
        if viewer.error is not None:
            log.info("viewer_dropped", session_id=self._session_id, code=viewer.error.code, reason=viewer.error.message)
        # Data that a viewer does not read delays the end of its stream, so the delay has a limit.
        cut = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, wire.abort)
        try:
            await _send(send, b"" if viewer.error is None else error_frame(viewer.error).sse, more_body=False)
        finally:
            cut.cancel()


async def _send(send: Send, content: bytes, *, more_body: bool = True) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": more_body})
