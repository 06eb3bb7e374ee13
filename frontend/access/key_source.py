"""Where the keys come from: a file that may change while the service runs, and the environment, which does not."""

import asyncio
from pathlib import Path
from typing import Final

import structlog

from frontend.access.key_list import MAX_LIST_BYTES, joined, parse_keys
from frontend.access.principal import Key
from shared.config import AccessSettings
from shared.errors import StartupError

ENVIRONMENT: Final = "The setting access.keys"

log = structlog.get_logger(__name__)

Signature = tuple[int, int, int] | None
"""Of a file: its inode, size and time of change; None where there is none."""


class KeySource:
    """The ring of now. Reading it the first time raises StartupError; later a bad file leaves the former keys."""

    def __init__(self, settings: AccessSettings) -> None:
        self._file = settings.keys_file
        fixed = settings.keys.get_secret_value() if settings.keys is not None else None
        self._fixed = [] if fixed is None else parse_keys(fixed, ENVIRONMENT)
        self.enabled = settings.needs_key
        self._read = self._seen = self._signature()
        self.ring = joined([*self._fixed, *self._from_file()])

    async def refresh(self) -> bool:
        """Read the file again if it has changed, and has not changed since the last look; whether the ring is new.

        Somebody may be in the middle of writing it: half a file may be a good list, of the wrong keys.
        """
        seen, self._seen = self._seen, self._signature()
        if self._seen != seen or self._seen == self._read:
            return False
        self._read = self._seen
        try:
            self.ring = await asyncio.to_thread(lambda: joined([*self._fixed, *self._from_file()]))
        except StartupError as error:
            log.error("access_list_refused", reason=str(error), consequence="the former keys stay")
            return False
        log.info("access_list_read", count=len(self.ring))
        return True

    def _from_file(self) -> list[Key]:
        if self._file is None:
            return []
        source = f"The keys file {self._file}"
        try:
            with self._file.open("rb") as file:
                content = file.read(MAX_LIST_BYTES + 1)
            return parse_keys(content.decode(), source)
        except OSError as error:
            raise StartupError(f"{source} (access.keys_file) cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise StartupError(f"{source} is not text in UTF-8.") from None

    def _signature(self) -> Signature:
        try:
            found = (self._file or Path()).stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
