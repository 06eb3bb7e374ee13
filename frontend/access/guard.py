"""Whose a connection is, for as long as it lasts.

In the native protocol a key may come with the handshake or as a message. Clients of other dialects are let in by their
handshake (`Access.admit_websocket`), which counts as a request.
"""

import asyncio
import time
from collections.abc import Sized
from typing import Final, NoReturn, Protocol

from frontend.access.access import Access
from frontend.access.principal import Principal
from frontend.access.strangers import KEY_FIRST, Stranger
from shared.errors import MessageTooLargeError, UnauthorizedError, VoxtralError

WATCH_INTERVAL_S: Final = 2.0
PATIENCE_S: Final = 10.0
"""Who needs a key and shows none for so long has to go."""
STRANGER_MESSAGE_MAX: Final = 4096
"""Of a client whose key is not known yet, the server holds no longer message."""


class Restricted(Protocol):
    """What the limits of a client apply to: a transport."""

    def restrict(self, limit_bytes: int) -> None: ...

    def trust(self) -> None: ...


def restrict_stranger(access: Access, client: Restricted) -> None:
    """Have a client that has just come hold no more than a key needs, where a key is needed. `Guard` ends that."""
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
    ) -> None:
        """`presented_key` is what came with the handshake, `admitted` whom the handshake has let in.

        `close` belongs to the end of the connection.
        """
        self._access = access
        self._client = client
        self._address = address
        self._presented_key = presented_key
        self._principal = admitted
        self._counts_requests = admitted is None
        self._stranger: Stranger | None = None
        self._came_at_s = time.monotonic()

    async def greet(self) -> None:
        """Look at what came with the handshake. No key is no error yet.

        Raises what `Access.identify` does, and ServerBusyError where too many clients have shown no key.
        """
        if self._principal is not None:
            return
        if self._presented_key is not None or not self._access.enabled:
            await self.identify(self._presented_key)
        else:
            self._stranger = self._access.strangers.enter(self._address)

    async def identify(self, key: str | None) -> None:
        """From now on the client is whose key this is. Raises what `Access.identify` does."""
        self._principal = await self._access.identify(key)
        self._client.trust()
        self.close()

    def close(self) -> None:
        if self._stranger is not None:
            self._stranger.leave()

    def about(self, error: MessageTooLargeError) -> VoxtralError:
        """The error for a message that is too large. Without a key, it says that a key is needed first."""
        return UnauthorizedError(KEY_FIRST) if self._principal is None else error

    def check(self, message: Sized) -> None:
        """Raises UnauthorizedError unless the key is still good, or this message is short enough to bring one."""
        if self._principal is not None:
            self._access.check(self._principal)
        elif isinstance(message, bytes) or len(message) > STRANGER_MESSAGE_MAX:
            raise UnauthorizedError(KEY_FIRST)

    async def watch(self) -> NoReturn:
        """Runs until the key has been revoked or has expired, or none has come for too long: UnauthorizedError."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            if self._principal is not None:
                self._access.check(self._principal)
            elif time.monotonic() - self._came_at_s > PATIENCE_S:
                raise UnauthorizedError(f"{KEY_FIRST} None came within {PATIENCE_S:g} s.")

    async def admit(self, upload_bytes: int = 0) -> Principal:
        """Who asks for a session, which counts as a request, perhaps for a recording of so many bytes.

        Raises UnauthorizedError, MessageTooLargeError, RateLimitedError, StoreUnreachableError.
        """
        assert self._principal is not None
        self._access.check_upload(self._principal, upload_bytes)
        if self._counts_requests:
            await self._access.take_request(self._principal)
        return self._principal
