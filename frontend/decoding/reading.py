"""The output of one decoder: the frames of its pipe. All of it is checked before use."""

import asyncio
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

import uvloop

from shared.audio.blocks import BLOCK_BYTES
from shared.audio.damage import MAX_WARNINGS, AudioWarning
from shared.audio.tracks import TRACK_SAMPLE_BYTES, Separation
from shared.decoder.wire import HEAD, Kind, WireError, check_frames, error_from, head_of, tracks_from, warning_from
from shared.errors import AudioTooLongError
from shared.events import SAMPLE_RATE_HZ

SLACK_S: Final = 1.0
"""Tolerance above the audio limit: beyond it, the decoder evidently does not enforce the limit itself."""


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    pcm: bytes
    """s16le at 16 kHz, mono or whole frames of separate tracks; one second of mono or less."""
    fraction_read: float
    """How much of the file precedes the end of this block, 0 to 1; slightly ahead of what is decoded."""
    channels: int = 1
    """Separate tracks in `pcm`."""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all tracks."""
        return TRACK_SAMPLE_BYTES * self.channels


class Reading:
    """Reads one pipe; while no block is requested, its decoder waits."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        transport: asyncio.ReadTransport,
        size_bytes: int,
        max_duration_s: float | None,
        separation: Separation | None = None,
    ) -> None:
        self._separation = separation
        self._reader = reader
        self._transport = transport
        self._size_bytes = max(1, size_bytes)
        self._max_duration_s = max_duration_s
        self.warnings: list[AudioWarning] = []
        """Faults of the recording or the live stream, as far as it has been read."""
        self._left_bytes = math.inf if max_duration_s is None else 2 * SAMPLE_RATE_HZ * (max_duration_s + SLACK_S)

    @classmethod
    async def of(
        cls, pipe: "Pipe", size_bytes: int, max_duration_s: float | None, separation: Separation | None = None
    ) -> Self:
        """Takes the readable end. `size_bytes` is the size of the file; the number of tracks is set in `separation`."""
        reader = asyncio.StreamReader(limit=BLOCK_BYTES)
        loop = asyncio.get_running_loop()
        # uvloop closes the descriptor itself, before the file: by then another thread may have a file of that number.
        owns_descriptor = not isinstance(loop, uvloop.Loop)
        file = os.fdopen(pipe.take_readable(), "rb", buffering=0, closefd=owns_descriptor)
        try:
            transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        except BaseException:
            file.close()
            raise
        return cls(reader, transport, size_bytes, max_duration_s, separation)

    def close(self) -> None:
        self._transport.close()

    async def next(self, stall_s: float) -> DecodedBlock | None:
        """The next block, None after the last.

        Raises what `next_frame` raises, and AudioTooLongError.
        """
        kind, content, position_bytes = await self.next_frame(stall_s)
        if kind is Kind.TRACKS and self._separation is not None and self._separation.found is None:
            self._separation.found = tracks_from(content, self._separation.most)
            self._left_bytes *= self._separation.found
            kind, content, position_bytes = await self.next_frame(stall_s)
        match kind:
            case Kind.AUDIO:
                channels = self._checked_channels(content)
                self._left_bytes -= len(content)
                if self._left_bytes < 0:
                    assert self._max_duration_s is not None
                    raise AudioTooLongError(self._max_duration_s)
                return DecodedBlock(content, min(1.0, position_bytes / self._size_bytes), channels)
            case Kind.DONE:
                return None
            case _:
                raise WireError(f"a frame {kind.name} in a recording")

    def _checked_channels(self, content: bytes) -> int:
        """The number of tracks in a block. Raises WireError if it has no whole frames of them."""
        if self._separation is None:
            return 1
        if self._separation.found is None:
            raise WireError("audio of an unknown number of tracks")
        check_frames(content, self._separation.frame_bytes)
        return self._separation.found

    async def next_frame(self, stall_s: float) -> tuple[Kind, bytes, int]:
        """The next frame that is no warning: its kind, its content, and how much has been read.

        Raises the error that the decoder sends, WireError, and IncompleteReadError if it ends without a message. If no
        frame has begun within `stall_s`, raises TimeoutError, and may be called again.
        """
        while True:
            kind, content, position_bytes = await self._raw_frame(stall_s)
            match kind:
                case Kind.WARNING:
                    if len(self.warnings) >= MAX_WARNINGS:
                        raise WireError("very many warnings")
                    self.warnings.append(warning_from(content))
                case Kind.ERROR:
                    raise error_from(content, self._max_duration_s)
                case Kind.FAULT:
                    raise WireError(content.decode(errors="replace"))
                case _:
                    return kind, content, position_bytes

    async def _raw_frame(self, stall_s: float) -> tuple[Kind, bytes, int]:
        async with asyncio.timeout(stall_s):
            raw = await self._reader.readexactly(HEAD.size)
        kind, size_bytes, position_bytes = head_of(raw)
        try:
            async with asyncio.timeout(stall_s):
                return kind, await self._reader.readexactly(size_bytes), position_bytes
        except TimeoutError:
            raise WireError("half a frame") from None


class Pipe:
    def __init__(self) -> None:
        self._readable: int | None
        self._readable, self.writable = os.pipe()

    def take_readable(self) -> int:
        """The caller must close it."""
        readable, self._readable = self._readable, None
        assert readable is not None
        return readable

    def close(self) -> None:
        os.close(self.writable)
        if self._readable is not None:
            os.close(self._readable)


@contextmanager
def new_pipe() -> Iterator[Pipe]:
    """Closes the ends that have not been taken."""
    pipe = Pipe()
    try:
        yield pipe
    finally:
        pipe.close()
