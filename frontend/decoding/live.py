"""A live stream in a container, decoded by its own process while it arrives.

Bytes go in, s16le mono 16 kHz comes out. While the audio is not read, no more bytes are accepted.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from frontend.decoding.link import DecoderLink, Ending
from frontend.decoding.reading import Reading, new_pipe
from shared.audio.damage import AudioWarning
from shared.audio.tracks import TRACK_SAMPLE_BYTES
from shared.decoder.wire import Kind, Order, WireError, check_frames, message
from shared.errors import DecoderStalledError, VoxtralError

LIVE_CPU_S: Final = 3600
"""Processor time of one stream. Opus and AAC need less than 1 % of its length, so this lasts four days."""

Failed = Callable[["asyncio.Future[Ending | None]", Exception], Awaitable[VoxtralError]]


class LiveDecoding:
    """One decoder. Always `close` it."""

    def __init__(
        self,
        link: DecoderLink,
        number: int,
        *,
        ending: "asyncio.Future[Ending | None]",
        reading: Reading,
        descriptor: int,
        stall_s: float,
        failed: Failed,
        tracks: int | None,
    ) -> None:
        self._frame_bytes = TRACK_SAMPLE_BYTES * (tracks or 1)
        self._link = link
        self._number = number
        self._ending = ending
        self._reading = reading
        self._descriptor: int | None = descriptor
        self._stall_s = stall_s
        self._failed = failed
        self._written_bytes = self._decoded_bytes = 0
        self._news = asyncio.Event()
        """Set when more has been decoded, or when nothing more will be."""
        self._can_write = asyncio.Event()
        """Set when the decoder may accept more, or when its input has been closed."""
        self._is_over = False

    @classmethod
    async def start(
        cls, link: DecoderLink, number: int, stall_s: float, failed: Failed, tracks: int | None = None
    ) -> "LiveDecoding":
        """`failed` returns the error for a decoder that ends without a message. `tracks`: see `Decoders.live`."""
        readable, writable = os.pipe()
        try:
            with new_pipe() as pipe:
                reading = await Reading.of(pipe, 0, None)
                order = Order(number, None, LIVE_CPU_S, live=True, tracks=tracks)
                ending = link.start(order, readable, pipe.writable)
        except BaseException:
            os.close(writable)
            raise
        finally:
            os.close(readable)
        os.set_blocking(writable, False)
        return cls(
            link,
            number,
            ending=ending,
            reading=reading,
            descriptor=writable,
            stall_s=stall_s,
            failed=failed,
            tracks=tracks,
        )

    @property
    def ending(self) -> "asyncio.Future[Ending | None]":
        return self._ending

    async def write(self, content: bytes) -> None:
        """Write a piece. Waits while the decoder does not accept it; returns at once if the decoder has ended."""
        self._written_bytes += len(content)
        view = memoryview(message(content))
        while view and self._descriptor is not None and not self._is_over:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                await self._writable(self._descriptor)
            except BrokenPipeError:
                return

    def take_warnings(self) -> list[AudioWarning]:
        """The new warnings for the client."""
        warnings, self._reading.warnings = self._reading.warnings, []
        return warnings

    async def drained(self) -> None:
        """Wait until the audio of all bytes so far has been decoded, or decoding has ended."""
        while self._decoded_bytes < self._written_bytes and not self._is_over:
            self._news.clear()
            await self._news.wait()

    def end(self) -> None:
        """No more bytes follow."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Before it is closed: a loop that still watches it never wakes its writer, and uvloop aborts the process.
            asyncio.get_running_loop().remove_writer(descriptor)
            os.close(descriptor)
            self._can_write.set()

    async def audio(self) -> AsyncIterator[bytes]:
        """The decoded audio, until the stream ends.

        Raises InvalidAudioError, UnsupportedAudioError and ServerBusyError.
        """
        try:
            while True:
                kind, content, position_bytes = await self._next()
                match kind:
                    case Kind.AUDIO:
                        check_frames(content, self._frame_bytes)
                        yield content
                    case Kind.WAITING:
                        self._decoded_bytes = position_bytes
                        self._news.set()
                    case _:
                        return
        except (WireError, asyncio.IncompleteReadError) as cause:
            self._link.kill(self._number)
            raise await self._failed(self._ending, cause) from None
        finally:
            self._is_over = True
            self._news.set()

    def close(self) -> None:
        self._is_over = True
        self._news.set()
        self.end()
        self._reading.close()
        self._link.kill(self._number)

    async def _next(self) -> tuple[Kind, bytes, int]:
        while True:
            awaited_bytes = self._written_bytes  # what is written while it waits has its own time
            try:
                return await self._reading.next_frame(self._stall_s)
            except TimeoutError:
                if self._decoded_bytes < awaited_bytes:
                    raise DecoderStalledError("stream", self._stall_s) from None

    async def _writable(self, descriptor: int) -> None:
        self._can_write.clear()
        asyncio.get_running_loop().add_writer(descriptor, self._can_write.set)
        try:
            await self._can_write.wait()
        finally:
            if self._descriptor is not None:  # its number may already belong to another file
                asyncio.get_running_loop().remove_writer(descriptor)
