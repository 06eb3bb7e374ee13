"""How telephone services prove that a WebSocket handshake comes from them.

Twilio signs the address that it connects to with the auth token of the account ("Webhooks Security" in its
documentation). Telnyx signs only webhooks; it sends a token that was given with the command that starts the stream.
"""

import base64
import hmac
from collections.abc import Iterator
from typing import Final

import structlog
from starlette.requests import HTTPConnection

from shared.errors import UnauthorizedError

SIGNATURE_HEADER: Final = "x-twilio-signature"
TOKEN_HEADER: Final = "x-telnyx-streaming-auth-token"  # noqa: S105 -- the name of a header
TLS_PORT: Final = 443
MAX_SHOWN_CHARS: Final = 200

log = structlog.get_logger(__name__)


def check_twilio(connection: HTTPConnection, auth_token: str, url: str | None) -> None:
    """Raise UnauthorizedError unless Twilio has signed `url`, or (None) the address of the handshake."""
    signed = _address(connection) if url is None else url
    if not is_signed(auth_token, signed, connection.headers.get(SIGNATURE_HEADER)):
        raise _rejected("twilio", f"X-Twilio-Signature is missing, or does not sign {signed[:MAX_SHOWN_CHARS]}")


def check_telnyx(connection: HTTPConnection, token: str) -> None:
    """Raise UnauthorizedError unless the handshake has the token."""
    if not _is_same(token, connection.headers.get(TOKEN_HEADER)):
        raise _rejected("telnyx", f"{TOKEN_HEADER} is missing or wrong")


def signature(auth_token: str, url: str) -> str:
    """HMAC-SHA1 in base64. A handshake has no form, whose fields would be signed too."""
    return base64.b64encode(hmac.digest(auth_token.encode(), url.encode(), "sha1")).decode()


def is_signed(auth_token: str, url: str, presented: str | None) -> bool:
    """Whether the header is a signature of this URL, with or without its port: Twilio uses both forms."""
    signed = [_is_same(signature(auth_token, form), presented) for form in _forms(url)]
    return any(signed)


def _is_same(expected: str, presented: str | None) -> bool:
    """Takes the same time for every wrong value of the same length."""
    return presented is not None and hmac.compare_digest(expected.encode(), presented.encode())


def _forms(url: str) -> Iterator[str]:
    """The URL may have any text of a client as its host."""
    yield url
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    name, _, port = host.rpartition(":")
    other = name if name and port.isdecimal() else f"{host}:{TLS_PORT}"
    yield f"{scheme}://{other}{slash}{path}"


def _address(connection: HTTPConnection) -> str:
    """The address that the service connected to: `wss`, which a proxy may terminate."""
    query = connection.scope["query_string"].decode("latin-1")
    address = f"wss://{connection.headers.get('host', '')}{connection.scope['path']}"
    return f"{address}?{query}" if query else address


def _rejected(service: str, reason: str) -> UnauthorizedError:
    log.warning("access_rejected", reason=reason, service=service)
    return UnauthorizedError(f"The handshake does not come from {service.capitalize()}: {reason}.")
