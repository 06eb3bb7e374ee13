"""Telephone services under test: their secrets, and streams of calls as they send them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from frontend.access.stream_secrets import signature

TWILIO_AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
TELNYX_STREAM_TOKEN = "a token that nobody can guess"
LOUD = bytes([0x80, 0x00] * 80)
"""20 ms of a loud tone in µ-law."""


def proof(service: str, address: str, *, wrong: bool = False) -> dict[str, str]:
    """The header of a handshake with `host:port/path`."""
    if service == "telnyx":
        return {"x-telnyx-streaming-auth-token": TELNYX_STREAM_TOKEN[wrong:]}
    return {"X-Twilio-Signature": signature(TWILIO_AUTH_TOKEN[wrong:], f"wss://{address}")}


@contextmanager
def streaming(web_url: str, service: str, query: str = "", **headers: str) -> Iterator[ClientConnection]:
    """A stream of the service; `headers` replace its proof."""
    address = f"{web_url.removeprefix('http://')}/v1/telephony/{service}{query}"
    with connect(f"ws://{address}", additional_headers=headers or proof(service, address), close_timeout=1) as client:
        yield client


def tell(client: ClientConnection, *messages: dict[str, Any]) -> None:
    for message in messages:
        client.send(json.dumps(message))
