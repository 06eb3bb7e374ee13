"""The server's messages as the Python client reads them, and the errors that it raises.

An event type that this version does not know is ignored, so that a newer server can add event types.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, Self

from voxtral_client.addresses import without_password
from voxtral_client.events import EVENTS, SessionEvent


class ClientError(Exception):
    """Base class of all errors that the client raises."""


class UnreachableError(ClientError):
    """No server can be reached at the address."""

    def __init__(
        self,
        url: str,
        reason: str,
        http_status: int | None = None,
        *,
        proxy: str | None = None,
        cause: Exception | None = None,
    ) -> None:
        way = "" if proxy is None else f" through the proxy {without_password(proxy)}"
        super().__init__(f"No transcription server answers at {without_password(url)}{way} ({reason}).")
        self.url = url
        self.proxy = proxy
        """The proxy of the environment that was used; None if none was."""
        self.http_status = http_status
        """Status of the response, if a web server answers there without opening a WebSocket."""
        self.cause = cause
        """What prevented the connection."""


class KeyFormatError(ClientError):
    """The text cannot be a key. The message does not contain it."""

    def __init__(self) -> None:
        super().__init__("The key contains a space, a line break or another character that no key has.")


class ConnectionLostError(ClientError):
    """The connection ended before the answer arrived."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"The connection to {without_password(url)} was lost ({reason}).")
        self.url = url


class UnexpectedMessageError(ClientError):
    """The server uses another protocol, or another version of this one."""

    def __init__(self, received: str) -> None:
        super().__init__(f"The server sent a message that this client does not understand: {received[:80]}")


class ServerError(ClientError):
    """An `error` of the server. `code` is one of the protocol's error table."""

    def __init__(self, code: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        code = str(wire.get("code", "internal_error"))
        return cls(code, str(wire.get("message", code)), wire.get("retry_after_s"))


def encoded(message: dict[str, Any]) -> str:
    """The message as JSON. Raises TypeError for a value that JSON cannot hold."""
    return json.dumps(message, default=_plain)


def _plain(value: object) -> dict[Any, Any] | list[Any]:
    """Users give options as any kind of mapping and sequence."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Collection) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value)
    raise TypeError(f"An option cannot be of type {type(value).__name__}: {value!r}.")


def decoded(message: str | bytes) -> dict[str, Any]:
    try:
        wire = json.loads(message)
    except ValueError:
        wire = None
    if not isinstance(wire, dict):
        raise UnexpectedMessageError(repr(message[:80]))
    return wire


def received_samples(wire: dict[str, Any]) -> int:
    """How much audio the server has, from its `received`. Raises `UnexpectedMessageError`."""
    samples = wire.get("audio_received_samples")
    if not isinstance(samples, int):
        raise UnexpectedMessageError(str(wire))
    return samples


def parse_event(wire: dict[str, Any]) -> SessionEvent | None:
    """The typed event, or None if its type is not known here.

    Raises `ServerError` for an `error`, and `UnexpectedMessageError` for an event without its fields.
    """
    kind = wire.get("type")
    if kind == "error":
        raise ServerError.from_wire(wire)
    event_class = EVENTS.get(str(kind))
    try:
        return event_class.from_wire(wire) if event_class else None
    except (KeyError, TypeError, AttributeError):
        raise UnexpectedMessageError(str(wire)) from None
