"""Which descriptors the end of a reading closes, with both event loops."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import uvloop

from frontend.decoding.reading import Reading, new_pipe


class Reopening:
    """A file whose number gets a new file just before a loop closes it, if it is free then, as from another thread."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.number: int = file.fileno()
        self.reopened = False

    def fileno(self) -> int:
        return self.number

    def close(self) -> None:
        with suppress(OSError):
            os.fstat(self.number)
            return self._file.close()
        other = os.open(os.devnull, os.O_RDONLY)
        if other != self.number:
            os.dup2(other, self.number)
            os.close(other)
        self.reopened = True
        self._file.close()
        return None


class ReopeningLoop(uvloop.Loop):
    file: Reopening

    async def connect_read_pipe(self, protocol_factory: Any, pipe: Any) -> Any:
        self.file = Reopening(pipe)
        return await super().connect_read_pipe(protocol_factory, self.file)


def test_end_of_reading_does_not_close_another_file_with_uvloop() -> None:
    with asyncio.Runner(loop_factory=ReopeningLoop) as runner:
        runner.run(_closed_reading())
        loop = runner.get_loop()
        assert isinstance(loop, ReopeningLoop)
        assert loop.file.reopened
        os.close(loop.file.number)  # raises OSError if it has been closed


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_end_of_reading_closes_its_pipe(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        written = runner.run(_closed_reading(keep=True))
    with pytest.raises(BrokenPipeError):
        os.write(written, b"x")
    os.close(written)


async def _closed_reading(*, keep: bool = False) -> int:
    """Open and close a reading; the other end of its pipe, open if `keep`."""
    with new_pipe() as pipe:
        reading = await Reading.of(pipe, 0, None)
        written = os.dup(pipe.writable) if keep else -1
    reading.close()
    return written
