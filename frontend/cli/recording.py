"""The audio input of a command: a file, a download, raw samples or a live stream, as blocks of s16le mono at 16 kHz.

Memory use does not grow with the length. Knows no server.
"""

import asyncio
import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from frontend.cli.download import download
from frontend.cli.failures import SourceError
from frontend.cli.outputs import STDIN, is_url
from frontend.cli.stream import LiveStream
from frontend.decoding.decoders import Decoders
from frontend.decoding.reading import DecodedBlock
from shared.audio.damage import AudioWarning
from shared.audio.pcm import AudioFormat
from shared.audio.stream import PcmStream
from shared.audio.tracks import Separation, TrackStream
from shared.events import SAMPLE_RATE_HZ
from voxtral_client.addresses import without_password

DECODER_PATIENCE_S = 60.0
READ_BYTES = 64 * 1024

Block: TypeAlias = DecodedBlock


class Recording:
    """One open file."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = name
        self.is_whole = True
        """Whether all of the audio exists already."""
        self._file = file
        self.warnings: list[AudioWarning] = []
        """The faults of the recording, when it has been read."""

    @contextlib.asynccontextmanager
    async def decoded(
        self, *, strict: bool = False, separation: Separation | None = None
    ) -> AsyncIterator[AsyncIterator[Block]]:
        """The audio, decoded in its own process, which ends with the `async with`. Reading raises `VoxtralError` if it
        contains none, and with `strict` if it is damaged.

        With a `separation`, the channels are kept apart, and their number is known when the `async with` begins.
        """
        self.warnings.clear()
        async with (
            Decoders.running(1, DECODER_PATIENCE_S) as decoders,
            contextlib.aclosing(
                decoders.blocks(self._file, strict=strict, warnings=self.warnings, separation=separation)
            ) as blocks,
        ):
            yield blocks if separation is None else await _begun(blocks)

    async def content(self, separation: Separation | None = None) -> tuple[bytes, str]:  # noqa: ARG002
        """The file, unchanged: the server finds its channels."""
        self._file.seek(0)
        return self._file.read(), "container"


class RawAudio:
    """Raw samples, which are converted as they arrive."""

    def __init__(self, name: str, file: BinaryIO, audio_format: AudioFormat) -> None:
        self.name = name
        self.is_whole = not _is_pipe(file)
        self._file = file
        self._format = audio_format
        self.warnings: list[AudioWarning] = []

    @contextlib.asynccontextmanager
    async def decoded(
        self, *, strict: bool = False, separation: Separation | None = None
    ) -> AsyncIterator[AsyncIterator[Block]]:
        stream: PcmStream | TrackStream = PcmStream(self._format)
        if separation is not None:
            separation.found = self._format.channels
            stream = TrackStream(self._format, self._format.channels)
        async with contextlib.aclosing(self._blocks(stream, strict=strict)) as blocks:
            yield blocks

    async def content(self, separation: Separation | None = None) -> tuple[bytes, str]:
        async with self.decoded(separation=separation) as blocks:
            return b"".join([block.pcm async for block in blocks]), "pcm_s16le"

    async def _blocks(self, stream: PcmStream | TrackStream, *, strict: bool) -> AsyncGenerator[Block, None]:
        async with contextlib.aclosing(_chunks(self._file)) as chunks:
            async for chunk in chunks:
                yield Block(stream.feed(chunk), fraction_read=1.0)
        if strict:
            stream.check_whole()
        yield Block(stream.finish(), fraction_read=1.0)


Source: TypeAlias = Recording | RawAudio | LiveStream
"""One opened input."""


async def _begun(blocks: AsyncIterator[Block]) -> AsyncIterator[Block]:
    """The same blocks, of which the first has been decoded."""
    first = await anext(blocks, None)

    async def all_blocks() -> AsyncIterator[Block]:
        if first is not None:
            yield first
        async for block in blocks:
            yield block

    return all_blocks()


def shown(source: str) -> str:
    """A source without the password that its address may hold."""
    return without_password(source) if is_url(source) else source


@contextlib.contextmanager
def opened(source: str, *, live: bool = False, audio_format: AudioFormat | None = None) -> Iterator[Source]:
    """The audio at a path or an address, or on standard input for `-`.

    With `audio_format` it is raw samples. Otherwise it is a file of any kind, and a pipe or an address is copied to a
    temporary file first, since decoders seek; with `live` these are decoded while they arrive. Raises `SourceError`.
    """
    name = "standard input" if source == STDIN else shown(source)
    if source == STDIN and sys.stdin is None:
        raise SourceError("standard input is closed.")
    if is_url(source) and source.lower().startswith("file:"):
        raise SourceError("give the path of the file instead of an address.")
    if audio_format is None and live and (is_url(source) or (source == STDIN and _is_pipe(sys.stdin.buffer))):
        yield LiveStream(name, source)
        return
    with contextlib.ExitStack() as stack:
        if is_url(source):
            file: BinaryIO = stack.enter_context(download(source))
        elif source == STDIN:
            file = sys.stdin.buffer
        else:
            file = stack.enter_context(Path(source).open("rb"))
        if audio_format is not None:
            yield RawAudio(name, file, audio_format)
        else:
            is_seekable = source != STDIN and file.seekable()
            yield Recording(name, file if is_seekable else stack.enter_context(_copied(file)))


@contextlib.contextmanager
def _copied(file: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(file, spool)
        yield spool


def _is_pipe(file: BinaryIO) -> bool:
    return not stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def _is_awaitable(file: BinaryIO) -> bool:
    """Whether the event loop can wait for the next bytes. It cannot for devices such as /dev/null."""
    mode = os.fstat(file.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or file.isatty()


async def _chunks(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    """The bytes of a file, or of a pipe as soon as they arrive. A pipe can be given up at any time."""
    if not _is_awaitable(file):
        while chunk := await asyncio.to_thread(file.read, READ_BYTES):
            yield chunk
        return
    reader = asyncio.StreamReader()
    with os.fdopen(os.dup(file.fileno()), "rb", buffering=0) as pipe:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            while chunk := await reader.read(READ_BYTES):
                yield chunk
        finally:
            transport.close()


async def paced(blocks: AsyncIterator[Block], chunk_samples: int) -> AsyncIterator[Block]:
    """The same audio in chunks of `chunk_samples`, each at the time at which its speech would have ended."""
    clock = asyncio.get_running_loop().time
    begun_at_s = clock()
    spoken_samples = 0
    async for block in blocks:
        chunk_bytes = chunk_samples * block.frame_bytes
        for position in range(0, len(block.pcm), chunk_bytes):
            pcm = block.pcm[position : position + chunk_bytes]
            spoken_samples += len(pcm) // block.frame_bytes
            await asyncio.sleep(begun_at_s + spoken_samples / SAMPLE_RATE_HZ - clock())
            yield Block(pcm, block.fraction_read, block.channels)
