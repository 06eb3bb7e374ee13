"""One live session of the Python client, as its user sees it: audio in, events out."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Unpack

from voxtral_client.connection import ResumingConnection
from voxtral_client.events import Ready, SessionEvent
from voxtral_client.messages import ConnectionLostError
from voxtral_client.options import ConfigureOptions, given
from voxtral_client.servers import Servers


class LiveSession:
    """One live session: send audio and iterate over its events, from one task or from two.

    When a connection is lost, the session resumes over the next one: the client reports the last event it received,
    and the server reports which audio and which control messages it has.

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
        """Starts the session. Raises `UnreachableError`, and `ServerError` if the server rejects it.

        A `start` without an answer is not repeated: the caller decides whether to try again.
        """
        await self._connection.open()

    async def close(self) -> None:
        """Closes the connection, which also ends a session that is not done."""
        await self._connection.close()

    async def send(self, audio: bytes) -> None:
        """Sends the next bytes of audio; they may be cut anywhere.

        Waits while the server lacks more than `outbox.KEEP_S` of earlier audio, because it does not read or cannot be
        reached. If cancelled while waiting, a part of the audio may have been accepted.
        Raises the error that ended the session, if there is one.
        """
        self._connection.check()
        await self._memory.outbox.put(audio)
        self._connection.check()

    async def commit(self) -> None:
        """Ends the current segment now; its final follows."""
        self._send_control("commit")

    async def configure(self, **options: Unpack[ConfigureOptions]) -> None:
        """Changes options, starting with the next segment. None returns to the server's default.

        Raises TypeError for an option that does not exist, and for a value that JSON cannot hold.
        """
        given(options, ConfigureOptions)  # None is a value here
        self._send_control("configure", **options)

    async def stop(self) -> None:
        """Ends the audio. The remaining finals and `Done` follow."""
        self._send_control("stop")
        self._memory.is_stopped = True

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        return self

    async def __anext__(self) -> SessionEvent:
        """The next event; the last one is `Done`. Cancelling loses nothing.

        Raises `ServerError` if the server reports one, `ConnectionLostError` if the session could not be resumed in
        time, or the server no longer has it, and what `on_reconnect` raises, which ends the session. The session
        continues after an error that only rejects a message of this client (such as an invalid `configure`).
        """
        event = await self._connection.next_event()
        if event is None:
            raise StopAsyncIteration
        return event

    def _send_control(self, kind: str, **fields: object) -> None:
        self._connection.check()
        self._memory.outbox.put_control({"type": kind, **fields})
