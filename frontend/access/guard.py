"""The principal of a connection, for the life of the connection.

In the native protocol a key may come with the handshake or as a message. Clients of other dialects are admitted by
their handshake (`Access.admit_websocket`), which counts as a request.
"""

import asyncio
import time
from collections.abc import Sized
from typing import Final, NoReturn, Protocol

from frontend.access.access import Access
from frontend.access.principal import Principal
from frontend.access.strangers import KEY_FIRST, Stranger
from shared.config.sections import ForeignProtocol
from shared.errors import MessageTooLargeError, UnauthorizedError, VoxtralError

WATCH_INTERVAL_S: Final = 2.0
KEY_TIMEOUT_S: Final = 10.0
"""Connections that present no key for so long are closed, if a key is required."""
STRANGER_MESSAGE_MAX: Final = 4096
"""The longest message of a client that has not presented a key yet."""


class Restricted(Protocol):
    """What the limits of a client apply to: a transport."""

    def restrict(self, limit_bytes: int) -> None: ...

    def trust(self) -> None: ...


def restrict_stranger(access: Access, client: Restricted) -> None:
    """Limit the messages of a new client to the size of a key, if keys are on. `Guard` lifts the limit."""
    if access.enabled:
        client.restrict(STRANGER_MESSAGE_MAX)


class Guard:
    def __init__(
        self,
        access: Access,
        client: Restricted,
        address: str | None,
        *,
        presented_key: str | None = None,
        admitted: Principal | None = None,
        protocol: ForeignProtocol | None = None,
    ) -> None:
        """`presented_key` is the key of the handshake, `admitted` the principal that the handshake has admitted,
        `protocol` that of a client that presents no key.

        Call `close` at the end of the connection.
        """
        self._access = access
        self._client = client
        self._address = address
        self._presented_key = presented_key
        self._principal = admitted
        self._protocol = protocol
        self._counts_requests = admitted is None
        self._stranger: Stranger | None = None
        self._came_at_s = time.monotonic()

    async def greet(self) -> None:
        """Check the key of the handshake. A missing key is not an error yet.

        Raises what `Access.identify` raises, and ServerBusyError if too many clients have presented no key.
        """
        if self._principal is not None:
            return
        if self._protocol is not None:
            self._principal = self._access.identify_protocol(self._protocol)
        elif self._presented_key is not None or not self._access.enabled:
            await self.identify(self._presented_key)
        else:
            self._stranger = self._access.strangers.enter(self._address)

    async def identify(self, key: str | None) -> None:
        """Authenticate the connection with this key. Raises what `Access.identify` raises."""
        self._principal = await self._access.identify(key)
        self._client.trust()
        self.close()

    def use_protocol_key(self, protocol: ForeignProtocol) -> None:
        """Authenticate a client of a protocol without keys, unless it is authenticated. Raises UnauthorizedError."""
        if self._principal is None:
            self._principal = self._access.identify_protocol(protocol)
            self._client.trust()
            self.close()

    def close(self) -> None:
        if self._stranger is not None:
            self._stranger.leave()

    def about(self, error: MessageTooLargeError) -> VoxtralError:
        """The error for a message that is too large. Without a key, it says that a key is required first."""
        return UnauthorizedError(KEY_FIRST) if self._principal is None else error

    def check(self, message: Sized) -> None:
        """Raise UnauthorizedError unless the key is still valid, or this message is short enough to present one."""
        if self._principal is not None:
            self._access.check(self._principal)
        elif isinstance(message, bytes) or len(message) > STRANGER_MESSAGE_MAX:
            raise UnauthorizedError(KEY_FIRST)

    async def watch(self) -> NoReturn:
        """Run until the key is revoked or expires, or until none has been presented for too long: UnauthorizedError."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            if self._principal is not None:
                self._access.check(self._principal)
            elif time.monotonic() - self._came_at_s > KEY_TIMEOUT_S:
                raise UnauthorizedError(f"{KEY_FIRST} None was sent within {KEY_TIMEOUT_S:g} s.")

    async def admit(self, upload_bytes: int = 0) -> Principal:
        """The principal that asks for a session, which counts as a request; `upload_bytes` is the size of its
        recording.

        Raises UnauthorizedError, MessageTooLargeError, RateLimitedError, StoreUnreachableError.
        """
        assert self._principal is not None
        self._access.check_upload(self._principal, upload_bytes)
        if self._counts_requests:
            await self._access.take_request(self._principal)
        return self._principal
