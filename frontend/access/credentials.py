"""Where a client puts its key in an HTTP request or a WebSocket handshake. Does no I/O and does not check the key.

Browsers cannot set headers on a WebSocket; they offer the key as a subprotocol, next to the one that is selected.
"""

from collections.abc import Iterable
from typing import Final

SUBPROTOCOL: Final = "realtime"
KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."

Headers = Iterable[tuple[str, str]]
"""Name and value of each header, repeated ones too."""


def presented_key(headers: Headers) -> str | None:
    """The key in `Authorization: Bearer`, else in `X-API-Key`, else among the offered subprotocols; or None."""
    found: dict[str, str] = {}
    for name, value in headers:
        match name.lower():
            case "authorization":
                scheme, _, key = value.strip().partition(" ")
                if scheme.lower() == "bearer" and key.strip():
                    found.setdefault("bearer", key.strip())
            case "x-api-key" if value.strip():
                found.setdefault("header", value.strip())
            case "sec-websocket-protocol":
                for offered in _offers(value):
                    if offered.startswith(KEY_SUBPROTOCOL) and offered != KEY_SUBPROTOCOL:
                        found.setdefault("subprotocol", offered.removeprefix(KEY_SUBPROTOCOL))
    return next((found[place] for place in ("bearer", "header", "subprotocol") if place in found), None)


def chosen_subprotocol(headers: Headers) -> str | None:
    """The answer to the offered subprotocols: `realtime` if it is among them, and never the one that holds the key."""
    offers = (offer for name, value in headers if name.lower() == "sec-websocket-protocol" for offer in _offers(value))
    return SUBPROTOCOL if SUBPROTOCOL in offers else None


def _offers(value: str) -> list[str]:
    return [offer.strip() for offer in value.split(",")]
