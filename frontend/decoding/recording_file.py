"""A recording as a descriptor that a decoder can only read."""

import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, TypeAlias

from shared.tasks import in_thread

Source: TypeAlias = bytes | BinaryIO
IN_MEMORY_BYTES: Final = 1 << 20
"""Smaller files are copied: an upload of this size has no file yet."""
INLINE_BYTES: Final = 256 * 1024
"""Copying so much takes less time than starting a thread."""
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class RecordingFile:
    """Holds one descriptor; always `close` it."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self.size_bytes = 0

    async def open(self, source: Source) -> int:
        """The descriptor. Raises OSError, also if there is no space for an upload."""
        if isinstance(source, bytes) and len(source) <= INLINE_BYTES:
            self._open(source)
        else:
            await in_thread(self._open, source)
        assert self._descriptor is not None
        return self._descriptor

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self, source: Source) -> None:
        if isinstance(source, bytes):
            self.size_bytes = len(source)
            self._descriptor = _in_memory(source)
            return
        self.size_bytes = source.seek(0, io.SEEK_END)
        source.seek(0)
        if self.size_bytes <= IN_MEMORY_BYTES:
            self._descriptor = _in_memory(source.read())
        else:
            source.flush()
            # Opened again: with its own position, and without write access.
            self._descriptor = os.open(f"/proc/self/fd/{source.fileno()}", os.O_RDONLY | os.O_CLOEXEC)


def _in_memory(content: bytes) -> int:
    descriptor = os.memfd_create("recording", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor


@contextmanager
def recording_file() -> Iterator[RecordingFile]:
    file = RecordingFile()
    try:
        yield file
    finally:
        file.close()
