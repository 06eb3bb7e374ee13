"""The connections of one process: each client is counted and served in its dialect until it disconnects."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from frontend.access.access import Access
from frontend.access.guard import Guard
from frontend.access.principal import ANONYMOUS, Principal
from frontend.connections.connection import Connection, Parts
from frontend.decoding.decoders import Decoders
from frontend.monitoring.process_report import Tally
from frontend.protocols.dialect import Action, Dialect
from frontend.protocols.native.realtime import NativeRealtime
from frontend.protocols.whisperlive.detection import NativeOrWhisperLive
from frontend.protocols.wyoming.asr import WyomingAsr
from frontend.servers.transports import Transport
from frontend.sessions.gateway import Gateway
from frontend.sessions.recordings import Recordings
from shared.config.sections import ForeignProtocol
from shared.config.settings import Settings


class Connections:
    """Serves clients with the parts that they share. Cancelling closes the connection and returns.

    For the servers that run it this is a normal end; some would log a cancelled handler as a failure.
    """

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        access: Access,
        *,
        decoders: Decoders,
        recordings: Recordings,
        tally: Tally,
    ) -> None:
        self._audio = settings.audio
        self._access = access
        self._tally = tally
        self._speaks_whisperlive = ForeignProtocol.WHISPERLIVE in settings.server.protocols
        self._parts = Parts(settings, gateway, decoders, recordings, tally)

    async def serve_native(self, transport: Transport, presented_key: str | None = None) -> None:
        """Serve a client of the native protocol. `presented_key` is the key that it sent before its first message."""
        await self._serve_native(transport, self._native(transport, presented_key), presented_key)

    async def serve_native_or_whisperlive(self, transport: Transport, presented_key: str | None = None) -> None:
        """The same, and for clients of WhisperLive, if it is configured: both connect to a port without a path."""
        native = self._native(transport, presented_key)
        dialect = NativeOrWhisperLive(native) if self._speaks_whisperlive else native
        await self._serve_native(transport, dialect, presented_key)

    def _native(self, transport: Transport, presented_key: str | None) -> NativeRealtime:
        return NativeRealtime(
            self._audio,
            guesses_text=transport.guesses_text,
            needs_key=self._access.enabled and presented_key is None,
        )

    async def _serve_native(self, transport: Transport, dialect: Dialect, presented_key: str | None) -> None:
        guard = Guard(self._access, transport, transport.address, presented_key=presented_key)
        with contextlib.suppress(asyncio.CancelledError), self._tally.connection():
            await Connection(transport, dialect, guard, self._parts).run()

    async def serve_wyoming(self, transport: Transport) -> None:
        """Serve a client of the Wyoming protocol, which presents no key."""
        guard = Guard(self._access, transport, transport.address, protocol=ForeignProtocol.WYOMING)
        with contextlib.suppress(asyncio.CancelledError), self._tally.connection():
            await Connection(transport, WyomingAsr(), guard, self._parts).run()

    async def serve(
        self,
        transport: Transport,
        dialect: Dialect,
        principal: Principal = ANONYMOUS,
        *,
        tells_viewer_token: bool = False,
        at_end: Callable[[], Iterable[Action]] | None = None,
    ) -> None:
        """Serve a client of another dialect, which `Access.admit_websocket` has admitted as `principal`.

        With `tells_viewer_token` the client receives one of our own messages, which is in no dialect, whenever it opens
        a session: with that token others can view the session. `at_end` is for sessions that others can view without
        it, see `Connection`.
        """
        guard = Guard(self._access, transport, transport.address, admitted=principal)
        with contextlib.suppress(asyncio.CancelledError), self._tally.connection():
            await Connection(
                transport,
                dialect,
                guard,
                self._parts,
                tells_viewer_token=tells_viewer_token,
                at_end=at_end,
            ).run()
