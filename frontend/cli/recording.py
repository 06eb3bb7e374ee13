"""The audio input of a command: a file or standard input, decoded on this machine, block by block.

Memory use does not grow with the length. Knows no server.
"""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from frontend.decoding.decoders import Decoders
from frontend.decoding.reading import DecodedBlock
from shared.audio.damage import AudioWarning
from shared.events import SAMPLE_RATE_HZ

STDIN = "-"
SAMPLE_BYTES = 2
DECODER_PATIENCE_S = 60.0


Block: TypeAlias = DecodedBlock


class Recording:
    """One open recording."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = name
        self._file = file
        self.warnings: list[AudioWarning] = []

    @contextlib.asynccontextmanager
    async def decoded(self, *, strict: bool = False) -> AsyncIterator[AsyncIterator[Block]]:
        """The audio, decoded in its own process, which ends with the `async with`.

        `warnings` lists the faults of the recording when it has been read. Reading raises `VoxtralError` if it contains
        no audio, and with `strict` if it is damaged.
        """
        self.warnings.clear()
        async with (
            Decoders.running(1, DECODER_PATIENCE_S) as decoders,
            contextlib.aclosing(decoders.blocks(self._file, strict=strict, warnings=self.warnings)) as blocks,
        ):
            yield blocks

    def content(self) -> bytes:
        """The file, unchanged."""
        self._file.seek(0)
        return self._file.read()


@contextlib.contextmanager
def opened(source: str) -> Iterator[Recording]:
    """The recording at a path, or standard input for `-`. Decoders seek, so a pipe is copied to a temporary file."""
    if source == STDIN:
        with _seekable(sys.stdin.buffer) as file:
            yield Recording("standard input", file)
        return
    with Path(source).open("rb") as given, _seekable(given) as file:
        yield Recording(source, file)


@contextlib.contextmanager
def _seekable(file: BinaryIO) -> Iterator[BinaryIO]:
    """The file itself, or a copy of all data of a pipe."""
    if file is not sys.stdin.buffer and file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as spool:
        shutil.copyfileobj(file, spool)
        yield spool


async def paced(blocks: AsyncIterator[Block], chunk_samples: int) -> AsyncIterator[Block]:
    """The same audio in chunks of `chunk_samples`, each at the time at which its speech would have ended."""
    chunk_bytes = chunk_samples * SAMPLE_BYTES
    clock = asyncio.get_running_loop().time
    begun_at_s = clock()
    spoken_samples = 0
    async for block in blocks:
        for position in range(0, len(block.pcm), chunk_bytes):
            pcm = block.pcm[position : position + chunk_bytes]
            spoken_samples += len(pcm) // SAMPLE_BYTES
            await asyncio.sleep(begun_at_s + spoken_samples / SAMPLE_RATE_HZ - clock())
            yield Block(pcm, block.fraction_read)
