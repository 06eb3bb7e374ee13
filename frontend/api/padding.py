"""JSON responses that take long: they begin with white space, so that proxies with idle timeouts do not cut them.

JSON allows white space before a value. The status, 200, is sent with the first of it. After a later error the body is
the error's object, and the connection is closed without the end of the response. So every complete response with 200 is
a result. For an incomplete one SDKs raise a connection error instead of returning an object without text. Nothing is
padded before a session is open, so most errors keep their status. Knows no dialect.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message

from frontend.api.responses import Exchange
from shared.errors import VoxtralError
from shared.incidents import incident
from shared.tasks import end_all

PADDING: Final = b" "
JSON: Final = "application/json"
_START: Final[Message] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", JSON.encode()),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),  # nginx would buffer the white space
    ],
}


class PaddedReply:
    """One response. Only JSON is padded: in other formats white space would be part of the content."""

    def __init__(self, exchange: Exchange, every_s: float) -> None:
        self._exchange = exchange
        self._every_s = every_s
        self._has_begun = False
        self._padding: asyncio.Task[None] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def of(
        cls, exchange: Exchange, every_s: float, body_of: Callable[[VoxtralError], dict[str, Any]]
    ) -> AsyncIterator["PaddedReply"]:
        """If the response has begun, an exception inside becomes the body that `body_of` returns, and the connection is
        closed with ClientDisconnect; otherwise the exception is raised again."""
        reply = cls(exchange, every_s)
        try:
            yield reply
        except Exception as failure:
            await reply._end_padding()
            if not reply._has_begun or isinstance(failure, ClientDisconnect):
                raise
            error = failure if isinstance(failure, VoxtralError) else incident(failure, None)
            await reply._send_body(orjson.dumps(body_of(error)), more_body=True)
            await exchange.break_off()
        finally:
            await reply._end_padding()

    def begin_padding(self) -> None:
        """From now on white space is sent at this interval; never if it is 0."""
        if self._every_s:
            self._padding = asyncio.create_task(self._pad(), name="pad an answer")

    async def send(self, response: Response) -> None:
        """Send the response. If padding has begun, its status and headers are those of the padding."""
        await self._end_padding()
        if self._has_begun:
            await self._send_body(bytes(response.body))
        else:
            await self._exchange.reply(response)

    async def _pad(self) -> None:
        with contextlib.suppress(ClientDisconnect):
            while True:
                await asyncio.sleep(self._every_s)
                if not self._has_begun:
                    await self._exchange.send(_START)
                    self._has_begun = True
                await self._send_body(PADDING, more_body=True)

    async def _end_padding(self) -> None:
        if self._padding is not None:
            await end_all((self._padding,))
            self._padding = None

    async def _send_body(self, body: bytes, *, more_body: bool = False) -> None:
        await self._exchange.send({"type": "http.response.body", "body": body, "more_body": more_body})
