"""Who may use the operators' page: keys with `operator: true`. One per health process.

A key is accepted only as a header, which no other web page can send without this service's permission, so requests
cannot be forged across sites. Without keys everybody who reaches the port may read, and nobody may change anything.
"""

import asyncio
from typing import Final

import structlog
from starlette.requests import Request

from frontend.access.credentials import presented_key
from frontend.access.key_source import KeySource
from frontend.access.origins import is_same_origin
from shared.config.sections import AccessSettings
from shared.errors import ForbiddenError, UnauthorizedError

WATCH_INTERVAL_S: Final = 1.0

log = structlog.get_logger(__name__)


class Operators:
    def __init__(self, settings: AccessSettings) -> None:
        """Raises StartupError for a bad list of keys."""
        self._source = KeySource(settings)

    @property
    def key_needed(self) -> bool:
        return self._source.enabled

    async def run(self) -> None:
        """Read the keys again when they change; runs until cancelled."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            await self._source.refresh()

    def check_reader(self, request: Request) -> None:
        """Raise ForbiddenError or UnauthorizedError unless the request may read the state of all sessions."""
        if not is_same_origin(request.headers):
            raise ForbiddenError("Pages of other origins may not use the operators' page.")
        if self.key_needed:
            self._operator(request)

    def check_operator(self, request: Request) -> str:
        """The name of the operator's key. Raises ForbiddenError or UnauthorizedError for any other request."""
        self.check_reader(request)
        if not self.key_needed:
            raise ForbiddenError("Without keys nothing can be changed here; configure a key with operator: true.")
        return self._operator(request)

    def _operator(self, request: Request) -> str:
        presented = presented_key(request.headers.items())
        if presented is None:
            raise UnauthorizedError("An operator's key is required: Authorization: Bearer, or X-API-Key.")
        key = self._source.valid(presented)
        if not key.is_operator:
            log.warning("access_rejected", reason="not an operator", name=key.name)
            raise ForbiddenError(f"The key {key.name} is not an operator's; its line in the list needs operator: true.")
        return key.name
