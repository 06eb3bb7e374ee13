"""Access control: authenticates every client and enforces the limits of its key. One per frontend process.

    principal = await access.admit_http(request)          # or admit_websocket; api.authentication does it
    session = await gateway.open(options, principal=principal)

Keys are off until one is configured. Every client is `ANONYMOUS` then, and only pages of foreign origins are rejected.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import Redis
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from frontend.access.credentials import presented_key
from frontend.access.key_source import KeySource
from frontend.access.limiter import RENEW_INTERVAL_S, Limiter
from frontend.access.meter import Meter
from frontend.access.origins import is_allowed_origin
from frontend.access.principal import ANONYMOUS, Key, Principal
from frontend.access.strangers import Strangers
from frontend.access.tokens import digest, new_token
from frontend.access.webhooks import WebhookRules
from shared.config.sections import ForeignProtocol
from shared.config.settings import Settings
from shared.errors import (
    ForbiddenError,
    MessageTooLargeError,
    ServerBusyError,
    StoreUnreachableError,
    UnauthorizedError,
    shown,
)
from shared.metrics.families import AUDIO
from shared.metrics.metrics import Metrics
from shared.tasks import BackgroundTasks

WATCH_INTERVAL_S: Final = 1.0
CLIENT_TOKEN_PREFIX: Final = "ek_"  # noqa: S105 -- how the tokens of OpenAI's API begin
MAX_TOKEN_CHARS: Final = 100
ENVELOPE_BYTES: Final = 64 * 1024
"""The room for everything in an HTTP body apart from the recording."""
_HOW: Final = "Authorization: Bearer, Authorization: Token, or X-API-Key"

log = structlog.get_logger(__name__)


class Access:
    def __init__(self, settings: Settings, redis: Redis, metrics: Metrics | None = None) -> None:
        """`metrics` counts the audio of each key. Raises StartupError for a bad list of keys."""
        self._metrics = metrics or Metrics()
        self.webhooks = WebhookRules(settings)
        self._source = KeySource(settings.access, self.webhooks.check_key)
        self._protocol_keys = settings.access.protocol_keys
        self._origins = settings.access.origins
        self._page_port = settings.server.http_port
        self._limiter = Limiter(redis)
        self._meters: set[Meter] = set()
        self.strangers = Strangers(settings.server.max_connections)
        self._chores = BackgroundTasks()
        if settings.is_exposed and not self._source.enabled:
            log.warning("open_to_everyone", host=settings.server.host, remedy="configure access.keys_file")

    @property
    def enabled(self) -> bool:
        """Whether clients need a key."""
        return self._source.enabled

    async def run(self) -> None:
        """Reload changed keys, end the sessions of revoked ones, and renew the leases of the others."""
        renewed_at_s = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            await self._source.refresh()
            self._end_revoked()
            if time.monotonic() - renewed_at_s >= RENEW_INTERVAL_S:
                renewed_at_s = time.monotonic()
                await self._renew()

    async def close(self) -> None:
        """Wait until the audio of ended sessions has been charged."""
        await self._chores.end()

    async def admit_http(self, request: Request) -> Principal:
        """The principal that sends this request, which is counted.

        Reads only the headers: call it before the body is read. Raises ForbiddenError, UnauthorizedError,
        RateLimitedError, MessageTooLargeError, StoreUnreachableError.
        """
        principal = await self._admit(request)
        length = request.headers.get("content-length", "")
        if length.isdecimal():
            limit = self._upload_limit_bytes(principal)
            if limit is not None and int(length) > _largest_body_bytes(limit):
                raise MessageTooLargeError(None, limit, "recording")
        return principal

    async def admit_websocket(self, websocket: WebSocket) -> Principal:
        """The principal that opens this WebSocket, which is counted as a request. Does not accept it; raises what
        `admit_http` raises.

        Accept with `subprotocol=chosen_subprotocol(websocket.headers.items())` afterwards.
        """
        return await self._admit(websocket)

    def check_origin(self, connection: HTTPConnection) -> None:
        """Raise ForbiddenError for a page that is neither ours nor allowed.

        Without this check any page could send recordings to a service on its visitor's machine, although it could not
        read the answers.
        """
        if not is_allowed_origin(connection.headers, self._origins):
            raise _foreign(connection.headers["origin"])

    def check_origin_beside(self, headers: Mapping[str, str]) -> None:
        """The same for a port without a page of ours. `headers` are those of a handshake, with lower-case names."""
        if not is_allowed_origin(headers, self._origins, self._page_port):
            raise _foreign(headers["origin"])

    async def identify(self, presented: str | None) -> Principal:
        """The principal of this key or client token. Counts no request. Raises UnauthorizedError,
        StoreUnreachableError."""
        if presented is not None and presented.startswith(CLIENT_TOKEN_PREFIX):
            principal = await self._bearer_of(presented)
            if principal is None:  # an error also where no key is needed: the token has the options of the session
                log.warning("access_rejected", reason="unknown client token", name=None)
                raise UnauthorizedError("The client token is wrong or has expired; request a new one.")
            return principal
        if not self.enabled:
            return ANONYMOUS
        if presented is None:
            raise UnauthorizedError(f"A key is required; send it as {_HOW}.")
        key = self._source.valid(presented)
        return Principal(key.name, key)

    def identify_protocol(self, protocol: ForeignProtocol) -> Principal:
        """The principal of a client that uses a protocol without keys: the key that `access.protocol_keys` names.

        Counts no request. Raises UnauthorizedError.
        """
        if not self.enabled:
            return ANONYMOUS
        name = self._protocol_keys.get(protocol)
        key = None if name is None else self._source.ring.named(name)
        if key is None:
            reason = "names no key" if name is None else f"names {shown(name)}, which is not a valid key"
            log.warning("access_rejected", reason=f"access.protocol_keys {reason} for {protocol}", name=name)
            raise UnauthorizedError(f"A key is required, and the service has none for the clients of {protocol}.")
        return Principal(key.name, key)

    def check(self, principal: Principal) -> Key | None:
        """The key of a principal with its current limits; None if keys are off.

        Raises UnauthorizedError if it has been revoked or has expired.
        """
        if principal.key is None:
            return None
        key = self._source.ring.current(principal.key)
        if key is None:
            raise UnauthorizedError(f"The key {principal.name} has been revoked or has expired.")
        return key

    async def take_request(self, principal: Principal) -> None:
        """Count one request of a client of the native protocol; other clients are counted when they are admitted.

        Raises UnauthorizedError, RateLimitedError, StoreUnreachableError.
        """
        key = self.check(principal)
        if key is not None:
            await self._limiter.take_request(key)

    def check_upload(self, principal: Principal, size_bytes: int) -> None:
        """Raise MessageTooLargeError for a recording that is larger than the key allows."""
        limit = self._upload_limit_bytes(principal)
        if limit is not None and size_bytes > limit:
            raise MessageTooLargeError(size_bytes, limit, "recording")

    def largest_body_bytes(self, principal: Principal, limit_bytes: int) -> int:
        """The largest HTTP body of this principal, if the service itself accepts `limit_bytes`.

        The recording in it must pass `check_upload` too.
        """
        allowed = self._upload_limit_bytes(principal)
        return limit_bytes if allowed is None else min(limit_bytes, _largest_body_bytes(allowed))

    async def enter(self, principal: Principal, session_id: str) -> Meter:
        """Count a session of this principal until its meter is closed. Raises what `take_request` does."""
        key = self.check(principal)
        if key is not None:
            await self._limiter.enter(key, session_id)
        meter = Meter(
            session_id,
            principal,
            key,
            self._limiter,
            usage=self._metrics.counter(AUDIO, principal.name),
            start=self._chores.start,
            forget=self._meters.discard,
        )
        self._meters.add(meter)
        return meter

    async def new_client_token(
        self, principal: Principal, session: Mapping[str, Any] | None, life_s: int
    ) -> tuple[str, int]:
        """A token that is valid for the principal's key for `life_s`, and the Unix time when it expires.

        `session` is returned as `Principal.session`. Raises ForbiddenError if the principal itself has only such a
        token, and RateLimitedError if it has too many valid tokens.
        """
        if principal.is_client_token:
            raise ForbiddenError("A client token cannot create other tokens; use the key.")
        self.check(principal)
        token = new_token(CLIENT_TOKEN_PREFIX)
        held = {
            "name": principal.name,
            "key": None if principal.key is None else principal.key.digest,
            "session": session,
        }
        await self._limiter.remember(principal.name, digest(token), orjson.dumps(held), life_s)
        return token, int(time.time()) + life_s

    def _upload_limit_bytes(self, principal: Principal) -> int | None:
        """The limit for one recording; None if there is no limit. Raises what `check` raises."""
        key = self.check(principal)
        return None if key is None else key.limits.upload_bytes

    async def _admit(self, connection: HTTPConnection) -> Principal:
        self.check_origin(connection)
        principal = await self.identify(presented_key(connection.headers.items()))
        await self.take_request(principal)
        return principal

    async def _bearer_of(self, token: str) -> Principal | None:
        if len(token) > MAX_TOKEN_CHARS:
            return None
        found = await self._limiter.recall(digest(token))
        if found is None:
            return None
        held = orjson.loads(found)
        if not self.enabled:
            return Principal(ANONYMOUS.name, None, is_client_token=True, session=held["session"])
        if held["key"] is None:  # made while keys were off
            return None
        principal = Principal(
            held["name"], Key(held["name"], held["key"]), is_client_token=True, session=held["session"]
        )
        self.check(principal)
        return principal

    def _end_revoked(self) -> None:
        for meter in list(self._meters):
            try:
                meter.key = self.check(meter.principal)
            except UnauthorizedError as error:
                if meter.on_revoked is None:  # its session has no slots yet: the first round after that ends it
                    continue
                log.info("session_revoked", session_id=meter.session_id, name=meter.principal.name)
                self._meters.discard(meter)
                meter.on_revoked(error)

    async def _renew(self) -> None:
        by_name: dict[str, list[str]] = {}
        for meter in self._meters:
            if meter.is_leased:
                by_name.setdefault(meter.principal.name, []).append(meter.session_id)
        try:
            for name, session_ids in by_name.items():
                await self._limiter.renew(name, session_ids)
        except (StoreUnreachableError, ServerBusyError):
            log.warning("leases_not_renewed", sessions=sum(map(len, by_name.values())))


def _foreign(origin: str) -> ForbiddenError:
    log.warning("origin_rejected", origin=origin[:200])
    message = (
        f"Pages of the origin {shown(origin)} may not use the service; allowed: its own page, clients that are not "
        "browsers, and origins of the setting access.origins: VOXTRAL_ACCESS__ORIGINS='[\"https://voice.example\"]'."
    )
    if origin == "null":
        message += " A page opened from a file has the origin null, as any site can: only '[\"*\"]' allows it."
    return ForbiddenError(message)


def _largest_body_bytes(upload_bytes: int) -> int:
    """The largest HTTP body with a recording of this size. Base64 makes four bytes of three."""
    return upload_bytes * 4 // 3 + ENVELOPE_BYTES
