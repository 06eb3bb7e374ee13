"""Asks `/ready` of the health process of this machine whether the service accepts new sessions."""

import asyncio
import json
import ssl
from typing import Final

from shared.config.settings import Settings
from shared.ports import reachable

TIMEOUT_S: Final = 3.0
NO_ANSWER: Final = "the health process does not answer"


async def why_not_ready(settings: Settings, tls: ssl.SSLContext | None) -> str | None:
    """The reason that `/ready` has; None if a new session would be served. `tls` is a `probe_context`."""
    host = reachable(settings.server.host)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, settings.server.health_port, ssl=tls)
            try:
                writer.write(b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return NO_ANSWER
    if head.split(maxsplit=2)[1:2] == [b"200"]:
        return None
    return _reason(body.decode(errors="replace")) or NO_ANSWER


def _reason(answer: str) -> str:
    """The reason in a 503; any other answer unchanged."""
    try:
        return str(json.loads(answer)["reason"])
    except (ValueError, KeyError, TypeError):
        return answer
