"""How a connection ends: the last error, then the close that belongs to it."""

import asyncio
import contextlib
from typing import Final

from frontend.protocols import native
from frontend.transports import DisconnectedError, Transport
from shared.errors import VoxtralError

FAREWELL_S: Final = 2.0
"""For the last error and the closing handshake together."""
CLOSE_CODES: Final = {
    "message_too_large": 1009,
    "frame_invalid": 1002,
    "unauthorized": 4401,
    "server_busy": 1013,
    "internal_error": 1011,
}
"""WebSocket close codes (RFC 6455 and its registry; 4000 on are private). Any other error closes with 1000."""


async def say_goodbye(transport: Transport, error: VoxtralError | None) -> None:
    """Tell the last error, close in order, and within `FAREWELL_S`."""
    try:
        async with asyncio.timeout(FAREWELL_S):
            if error is not None:
                with contextlib.suppress(DisconnectedError):
                    await transport.send(native.error_message(error))
            reason = "" if error is None else error.code
            await transport.close(CLOSE_CODES.get(reason, 1000), reason)
    except TimeoutError:
        transport.abort()
