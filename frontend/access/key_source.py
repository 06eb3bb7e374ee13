"""Where the keys come from: a file that may change while the service runs, and the environment, which does not
change."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from frontend.access.key_list import MAX_LIST_BYTES, KeyRing, is_expired, joined, parse_keys
from frontend.access.principal import Key
from shared.config.sections import AccessSettings
from shared.errors import StartupError, UnauthorizedError

ENVIRONMENT: Final = "The setting access.keys"

log = structlog.get_logger(__name__)

Signature = tuple[int, int, int] | None
"""Of a file: its inode, size and time of change; None if there is no file."""


class KeySource:
    """The current ring. The first reading raises StartupError for a bad file; later a bad file leaves the former
    keys."""

    def __init__(self, settings: AccessSettings, check: Callable[[Key], None] = lambda _: None) -> None:
        """`check` raises StartupError for a key that the other settings do not allow."""
        self._check = check
        self._file = settings.keys_file
        fixed = settings.keys.get_secret_value() if settings.keys is not None else None
        self._fixed = [] if fixed is None else parse_keys(fixed, ENVIRONMENT)
        self.enabled = settings.needs_key
        self._read = self._seen = self._signature()
        self.ring = self._joined()

    def valid(self, presented: str) -> Key:
        """The key that was presented. Raises UnauthorizedError if it is unknown or has expired."""
        key = self.ring.find(presented)
        if key is None or is_expired(key):
            log.warning("access_rejected", reason="unknown" if key is None else "expired", name=key and key.name)
            raise UnauthorizedError("The key is wrong or has expired.")
        return key

    async def refresh(self) -> bool:
        """Read the file if it has changed and then stayed the same since the last look; returns whether it was read.

        Another program may still be writing it, and half a file may be a valid list of the wrong keys.
        """
        seen, self._seen = self._seen, self._signature()
        if self._seen != seen or self._seen == self._read:
            return False
        self._read = self._seen
        try:
            self.ring = await asyncio.to_thread(self._joined)
        except StartupError as error:
            log.error("access_list_rejected", reason=str(error), consequence="the former keys stay valid")
            return False
        log.info("access_list_read", count=len(self.ring))
        return True

    def _joined(self) -> KeyRing:
        keys = [*self._fixed, *self._from_file()]
        for key in keys:
            self._check(key)
        return joined(keys)

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
            raise StartupError(f"{source} is not UTF-8 text.") from None

    def _signature(self) -> Signature:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
