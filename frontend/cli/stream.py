"""A live stream as the input of a command: an address (HTTP, HLS, RTSP, …) or a pipe, decoded while it arrives.

A process of its own decodes it (`shared.decoder.network`), which may open connections and no files. Knows no server.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from frontend.cli.failures import SourceError
from frontend.decoding.reading import DecodedBlock
from shared.audio.damage import AudioWarning
from shared.audio.tracks import Separation
from shared.decoder.wire import HEAD, Kind, error_from, head_of
from shared.process import children_without_interrupts, how_ended

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
"""Never reached through a proxy."""


class LiveStream:
    """`source` is an address, or `-` for standard input."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.is_whole = False
        self._source = source
        self.warnings: list[AudioWarning] = []

    @contextlib.asynccontextmanager
    async def decoded(
        self,
        *,
        strict: bool = False,  # noqa: ARG002
        separation: Separation | None = None,
    ) -> AsyncIterator[AsyncIterator[DecodedBlock]]:
        """The audio, until the stream ends. Damaged parts are left out, also with `strict`: they cannot be requested
        again. Reading raises `VoxtralError` if the stream cannot be decoded."""
        if separation is not None:
            raise SourceError("the channels of a live stream cannot be separated; leave out --channel-mode.")
        with children_without_interrupts():
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "shared.decoder.network", self._source),
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | {"no_proxy": ",".join([*filter(None, [os.environ.get("no_proxy")]), *LOOPBACK])},
            )
        try:
            async with contextlib.aclosing(self._blocks(process)) as blocks:
                yield blocks
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _blocks(self, process: asyncio.subprocess.Process) -> AsyncGenerator[DecodedBlock, None]:
        assert process.stdout is not None
        while True:
            try:
                kind, size_bytes, _ = head_of(await process.stdout.readexactly(HEAD.size))
                content = await process.stdout.readexactly(size_bytes)
            except asyncio.IncompleteReadError:
                raise SourceError(f"its decoder has ended ({how_ended(await process.wait())}).") from None
            if kind is Kind.ERROR:
                raise error_from(content, None)
            if kind is Kind.DONE:
                return
            yield DecodedBlock(content, fraction_read=1.0)
