"""The input path of a live client's audio into a session: decodes it to s16le mono 16 kHz as it arrives.

Waiting is backpressure: the caller reads nothing more while `take` waits. Decoded audio goes to Redis as raw samples,
so workers need not know in which format it was sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeAlias

from frontend.decoding.decoders import Decoders
from frontend.decoding.live import LiveDecoding
from frontend.sessions.session import Session
from shared.audio.live import LiveAudio
from shared.audio.pcm import AudioFormat
from shared.errors import ServerBusyError, VoxtralError

SLICE_BYTES: Final = 64 * 1024
"""Decoded at a time: about a millisecond of work, after which other tasks run."""

Start: TypeAlias = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Starts a task that ends the connection if it fails."""


class Intake(Protocol):
    """Accepts one session's audio. Always `close` it."""

    async def take(self, audio: bytes) -> None:
        """Write a message of any size."""

    async def flush(self) -> None:
        """Write all accepted audio that can be decoded on its own."""

    async def finish(self) -> None:
        """No more audio follows: write what was held back."""

    def close(self) -> None: ...


class RawIntake:
    """Raw samples, with or without WAV headers."""

    def __init__(self, session: Session, audio_format: AudioFormat, *, takes_container: bool = False) -> None:
        self._session = session
        self._audio = LiveAudio(audio_format, takes_container=takes_container)

    async def take(self, audio: bytes) -> None:
        """Raises InvalidAudioError, after which decoding starts afresh, and UnsupportedStreamError for every
        message."""
        for start in range(0, len(audio), SLICE_BYTES):
            await self._write(self._audio.feed(audio[start : start + SLICE_BYTES], begins_message=start == 0))
            if len(audio) > SLICE_BYTES:
                await asyncio.sleep(0)

    async def flush(self) -> None:
        await self._write(self._audio.flush())

    async def finish(self) -> None:
        await self._write(self._audio.finish())

    def close(self) -> None:
        """Nothing to close."""

    async def _write(self, pcm: bytes) -> None:
        for code, message in self._audio.take_warnings():
            self._session.warn(code, message)
        if pcm:
            await self._session.write(pcm)


class ContainerIntake:
    """A stream in a container, decoded by its own process, which is started with the first bytes."""

    def __init__(
        self, session: Session, decoders: Decoders, report: Callable[[Exception], Awaitable[None]], start: Start
    ) -> None:
        """`report` is called once, when the stream cannot be decoded any further. The rest of the stream is
        discarded. `start` starts the task that does it, which ends the connection if `report` raises an error."""
        self._session = session
        self._decoders = decoders
        self._report = report
        self._start = start
        self._refusal: ServerBusyError | None = None
        self._decoding: LiveDecoding | None = None
        self._pump: asyncio.Task[None] | None = None

    async def take(self, audio: bytes) -> None:
        """Raises ServerBusyError if no decoder was free for the beginning of the stream: the rest is of no use without
        it."""
        if not audio:
            return
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)  # a traceback grows with each raise, and holds the audio
        if self._decoding is None:
            try:
                self._decoding = await self._decoders.live(self._session.options.channels)
            except ServerBusyError as error:
                self._refusal = error
                raise
            self._pump = self._start(self._write_decoded(self._decoding))
            self._pump.set_name(f"decoded {self._session.id}")
        for start in range(0, len(audio), SLICE_BYTES):
            await self._decoding.write(audio[start : start + SLICE_BYTES])

    async def flush(self) -> None:
        if self._decoding is not None:
            await self._decoding.drained()

    async def finish(self) -> None:
        if self._decoding is not None and self._pump is not None:
            self._decoding.end()
            await asyncio.wait((self._pump,))

    def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        if self._decoding is not None:
            self._decoding.close()

    async def _write_decoded(self, decoding: LiveDecoding) -> None:
        try:
            async for pcm in decoding.audio():
                self._warn(decoding)
                await self._session.write(pcm)
            self._warn(decoding)
        except (VoxtralError, OSError) as error:
            await self._report(error)
        finally:
            decoding.close()

    def _warn(self, decoding: LiveDecoding) -> None:
        for warning in decoding.take_warnings():
            self._session.warn(warning.code, warning.message)
