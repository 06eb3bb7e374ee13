"""Where a client puts its key in an HTTP request or a WebSocket handshake. Does no I/O and does not check the key.

Browsers cannot set headers on a WebSocket; they offer the key as a subprotocol, next to the one that is selected. In
Deepgram's API the scheme of the header may also be `Token`, and the subprotocols are a scheme and the key.
"""

from collections.abc import Iterable
from typing import Final

SUBPROTOCOL: Final = "realtime"
KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."
SCHEMES: Final = ("bearer", "token")

Headers = Iterable[tuple[str, str]]
"""Name and value of each header, repeated ones too."""


def presented_key(headers: Headers) -> str | None:
    """The key in `Authorization: Bearer`, else in `X-API-Key`, else among the offered subprotocols; or None."""
    found: dict[str, str] = {}
    for name, value in headers:
        match name.lower():
            case "authorization":
                scheme, _, key = value.strip().partition(" ")
                if scheme.lower() in SCHEMES and key.strip():
                    found.setdefault("bearer", key.strip())
            case "x-api-key" if value.strip():
                found.setdefault("header", value.strip())
            case "sec-websocket-protocol":
                offers = _offers(value)
                if len(offers) == 2 and offers[0].lower() in SCHEMES and offers[1]:
                    found.setdefault("subprotocol", offers[1])
                for offered in offers:
                    if offered.startswith(KEY_SUBPROTOCOL) and offered != KEY_SUBPROTOCOL:
                        found.setdefault("subprotocol", offered.removeprefix(KEY_SUBPROTOCOL))
    return next((found[place] for place in ("bearer", "header", "subprotocol") if place in found), None)


def chosen_subprotocol(headers: Headers) -> str | None:
    """The answer to the offered subprotocols: `realtime`, `token` or `bearer`, and never the one that holds the key."""
    offers = [offer for name, value in headers if name.lower() == "sec-websocket-protocol" for offer in _offers(value)]
    if SUBPROTOCOL in offers:
        return SUBPROTOCOL
    return offers[0] if len(offers) == 2 and offers[0].lower() in SCHEMES else None


def _offers(value: str) -> list[str]:
    return [offer.strip() for offer in value.split(",")]
