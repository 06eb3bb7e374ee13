"""The audio that a command reads: a file or standard input, decoded here, block by block.

Memory does not grow with the length. Knows no server.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shared.audio.files import decode_file
from shared.events import SAMPLE_RATE_HZ

STDIN = "-"
SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Block:
    pcm: bytes
    """s16le mono at 16 kHz, one second or less."""
    fraction_read: float
    """How much of the file lies before the end of this block, 0 to 1; a little ahead of what is decoded."""


class Recording:
    """One open recording."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = name
        self._file = file

    async def blocks(self) -> AsyncIterator[Block]:
        """The audio, decoded in a thread. Raises `VoxtralError` for what is not a whole audio file."""
        blocks = self._decoded()
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            yield block

    def content(self) -> bytes:
        """The file as it is."""
        self._file.seek(0)
        return self._file.read()

    def _decoded(self) -> Iterator[Block]:
        size_bytes = max(1, self._file.seek(0, 2))
        for pcm in decode_file(self._file):
            yield Block(pcm, min(1.0, self._file.tell() / size_bytes))


@contextmanager
def opened(source: str) -> Iterator[Recording]:
    """The recording at a path, or standard input for `-`, which is kept in a temporary file: decoders seek."""
    if source == STDIN:
        with tempfile.TemporaryFile() as spool:
            shutil.copyfileobj(sys.stdin.buffer, spool)
            yield Recording("standard input", spool)
        return
    with Path(source).open("rb") as file:
        yield Recording(source, file)


async def paced(blocks: AsyncIterator[Block], chunk_samples: int) -> AsyncIterator[Block]:
    """The same audio in chunks of `chunk_samples`, each given out when it would have been spoken in full."""
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
