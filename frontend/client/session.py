"""One live session of the Python client, as its user has it: audio out, events in."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from frontend.client.connection import ResumingConnection
from frontend.client.messages import ConnectionLostError
from frontend.client.servers import Servers
from shared.wire_events import Ready, SessionEvent


class LiveSession:
    """One live session: send audio and iterate over its events, from one task or from two.

    When a connection is lost the session continues over the next one as if nothing had happened: the server is told
    which event came last, and tells which audio and which control messages it has.

    Events wait here until they are read; of the unread partials of a segment only the latest is kept, so that a slow
    reader costs no more memory than the transcript.
    """

    def __init__(
        self,
        servers: Servers,
        options: dict[str, Any],
        *,
        resume_timeout_s: float | None = None,
        on_reconnect: Callable[[ConnectionLostError], None] | None = None,
    ) -> None:
        self._connection = ResumingConnection(
            servers, options, resume_timeout_s=resume_timeout_s, on_reconnect=on_reconnect
        )
        self._memory = self._connection.memory

    @property
    def ready(self) -> Ready:
        """The server's answer to `start`."""
        return self._memory.ready or Ready(session_id="", seq=0, model="", resume_token=None)

    @property
    def session_id(self) -> str:
        return self._memory.session_id

    async def open(self) -> None:
        """Starts the session. Raises `UnreachableError`, and `ServerError` where the server refuses it.

        A `start` whose answer does not come is not repeated: whoever calls this decides about that.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Ends the connection, and with it a session that is not done."""
        await self._connection.close()

    async def send(self, audio: bytes) -> None:
        """Takes in the next bytes of audio; they may be cut anywhere.

        Waits while the server does not have what came `outbox.KEEP_S` of audio before them, be it that it
        takes no more or that it cannot be reached. Cancelled then, a part of the audio may have been taken in.
        Raises how the session ended, where it did.
        """
        self._connection.check()
        await self._memory.outbox.put(audio)
        self._connection.check()

    async def commit(self) -> None:
        """Ends the current segment now; its final follows."""
        self._tell("commit")

    async def configure(self, **options: str | float | list[str] | None) -> None:
        """Changes options from the next segment on.

        They are `language`, `languages`, `prompt`, `delay_ms`, `commit_delay`, `max_new_tokens`, `temperature`,
        `top_p`, `numerals`, `profanity`, `filler_words`, `redact` and `redact_terms`.
        """
        self._tell("configure", **options)

    async def stop(self) -> None:
        """Says that no more audio comes. The remaining finals and `Done` follow."""
        self._tell("stop")
        self._memory.is_stopped = True

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        return self

    async def __anext__(self) -> SessionEvent:
        """The next event; the last one is `Done`. Cancelling loses nothing.

        Raises `ServerError` where the server reports one, and `ConnectionLostError` if the session could not be resumed
        in time, or the server no longer has it. The session continues after an error that only rejects a message of
        this client (a wrong `configure`).
        """
        event = await self._connection.next_event()
        if event is None:
            raise StopAsyncIteration
        return event

    def _tell(self, kind: str, **fields: object) -> None:
        self._connection.check()
        self._memory.outbox.put_control({"type": kind, **fields})
