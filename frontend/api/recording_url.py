"""The recording at a URL that a client names, `{"url": "https://…"}`, if `server.recording_urls` permits it.

What may be requested, and how it is bounded, is known to `shared.outgoing`.
"""

from collections.abc import AsyncGenerator
from typing import Final

from frontend.protocols.json_objects import decode_body
from shared.errors import InvalidFieldError, MissingFieldError, VoxtralError
from shared.outgoing.addresses import RefusedUrlError
from shared.outgoing.client import OutgoingClient, OutgoingError

MAX_BODY_BYTES: Final = 64 * 1024
DOWNLOAD_S: Final = 300.0
"""Time limit, from the resolution of the name to the last byte."""


class UnusableUrlError(VoxtralError):
    """Repeats no URL: it may hold a secret."""

    code = InvalidFieldError.code
    field = "url"

    def __init__(self, reason: str) -> None:
        super().__init__(f"url cannot be used: {reason}.")


def url_in(body: bytes) -> str:
    """Raises InvalidJsonError, MissingFieldError and InvalidFieldError."""
    url = decode_body(body).get("url")
    if url is None:
        raise MissingFieldError("The field url is missing; send it, or the recording itself as the body.", field="url")
    if not isinstance(url, str):
        raise InvalidFieldError("url", url, "a string")
    return url


def check_permitted(outgoing: OutgoingClient | None) -> OutgoingClient:
    """Raises UnusableUrlError unless this service downloads recordings."""
    if outgoing is None:
        raise UnusableUrlError("server.recording_urls is false; send the recording itself as the body")
    return outgoing


async def downloaded(outgoing: OutgoingClient, url: str, limit_bytes: int) -> AsyncGenerator[bytes, None]:
    """The recording, chunk by chunk. Raises UnusableUrlError."""
    try:
        async with outgoing.download(url, max_bytes=limit_bytes, within_s=DOWNLOAD_S) as recording:
            async for chunk in recording:
                yield chunk
    except (RefusedUrlError, OutgoingError) as error:
        raise UnusableUrlError(str(error)) from None
