"""How the Python client reaches a service: at one of several addresses, and again after a loss."""

import asyncio
import errno
import re
import socket
import ssl
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
)
from websockets.frames import CloseCode

from voxtral_client.addresses import proxy_for, websocket_url
from voxtral_client.events import Ready
from voxtral_client.messages import (
    ClientError,
    ConnectionLostError,
    KeyFormatError,
    ServerError,
    UnexpectedMessageError,
    UnreachableError,
    decoded,
    encoded,
    parse_event,
)

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
DEAD_PEER_S = 10
"""A server that acknowledges nothing of what was sent to it for this long is considered dead."""
GIVEN_UP = 4000
"""Close code of a connection whose session will be resumed. With 1000 or 1001 the server would end the session."""


class Servers:
    """The addresses of one service. The one that answered last is tried first. Raises AddressError and KeyFormatError.

    White space around the key, such as the line break of a file, is no part of it. An empty key is none.
    """

    def __init__(self, *urls: str, key: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        key = (key or "").strip()
        if not re.fullmatch(r"[!-~]*", key):
            raise KeyFormatError  # otherwise the error would show the whole header
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        """What every request to open a connection has."""
        self.tls = tls
        """The certificates that are accepted at `wss://`; None: those of the system's authorities."""
        self.urls = [websocket_url(url) for url in urls]
        """In the order in which they are tried."""

    @property
    def url(self) -> str:
        """The address that is tried first."""
        return self.urls[0]

    async def connect(self, timeout_s: float = OPEN_TIMEOUT_S) -> ClientConnection:
        """A connection to the first address that answers within `timeout_s`. Raises UnreachableError."""
        failure: UnreachableError | None = None
        for _ in self.urls:
            try:
                return await self._connect(timeout_s)
            except UnreachableError as error:
                failure = error
                self.turn_to_next()
        assert failure is not None
        raise failure

    def turn_to_next(self) -> None:
        """Try another address first."""
        self.urls.append(self.urls.pop(0))

    async def _connect(self, timeout_s: float) -> ClientConnection:
        proxy = proxy_for(self.url)
        try:
            secure: dict[str, Any] = {"ssl": self.tls} if self.tls is not None and self.url.startswith("wss:") else {}
            connection = await connect(
                self.url,
                **secure,
                proxy=proxy,
                additional_headers=self.headers,
                compression=None,  # audio does not compress, and deflating delays small messages
                max_size=None,  # a long transcript is one message
                open_timeout=timeout_s,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_timeout=None,  # a pong may wait behind audio that the server does not read yet
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, InvalidProxy, ImportError, EOFError) as error:
            http_status = error.response.status_code if isinstance(error, InvalidStatus) else None
            cause = ConnectionRefusedError() if _is_refused(error) else error
            raise UnreachableError(
                self.url, reason_of(cause, timeout_s), http_status, proxy=proxy, cause=cause
            ) from None
        _notice_dead_peer(connection.transport.get_extra_info("socket"))
        return connection


async def greet(connection: ClientConnection, url: str, message: dict[str, Any], timeout_s: float) -> Ready:
    """Send the first message of a connection and return the answer.

    Raises `ServerError` if the server answers with an error, and `ConnectionLostError` if it does not answer.
    """
    try:
        async with asyncio.timeout(timeout_s):
            with suppress(ConnectionClosed):  # what the server sent before it closed can still be read
                await connection.send(encoded(message))
            ready = parse_event(decoded(await connection.recv()))
    except TimeoutError:
        raise ConnectionLostError(url, f"no answer to {message['type']} within {timeout_s:g} s") from None
    except ConnectionClosed as closed:
        raise closing_error(url, closed) from None
    if not isinstance(ready, Ready):
        raise UnexpectedMessageError(str(ready))
    return ready


def closing_error(url: str, closed: ConnectionClosed) -> ClientError:
    """The error for a closed connection, if the server sent no error before it closed."""
    if closed.rcvd is None:
        return ConnectionLostError(url, "it was closed without a close frame")
    if closed.rcvd.code == CloseCode.MESSAGE_TOO_BIG:
        return ServerError("message_too_large", f"The message is too large for the server: {closed.rcvd.reason}.")
    return ConnectionLostError(url, closed.rcvd.reason or f"the server closed it with code {closed.rcvd.code}")


def _notice_dead_peer(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, DEAD_PEER_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, DEAD_PEER_S // 3))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_S * 1000)


def _is_refused(error: Exception) -> bool:
    """Also if a name has several addresses: asyncio then raises one error that lists those of all."""
    return isinstance(error, ConnectionRefusedError) or (
        isinstance(error, OSError) and set(re.findall(r"\[Errno (\d+)\]", str(error))) == {str(errno.ECONNREFUSED)}
    )


def reason_of(error: BaseException | str, timeout_s: float) -> str:
    """Why no connection was made, in words. A text is the reason itself."""
    reason = str(error).rstrip(".") or type(error).__name__
    match error:
        case ConnectionRefusedError():
            reason = "connection refused"
        case TimeoutError():
            reason = f"no answer within {timeout_s:g} s"
        case ssl.SSLCertVerificationError():
            reason = f"its certificate is not accepted: {error.verify_message}"
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "RECORD_LAYER_FAILURE"):
            reason = "the port does not use TLS; without TLS, the address begins with http:// or ws://"
        case InvalidMessage():
            reason = (
                "it closed the connection or speaks another protocol; "
                "if the port uses TLS, the address begins with https:// or wss://"
            )
        case OSError(strerror=str(why)) if not isinstance(error, ssl.SSLError):
            reason = why
    return reason
