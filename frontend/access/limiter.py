"""The limits of keys, kept in Redis for all frontends together.

Each method makes one round trip, and only if the key has such a limit. Every method raises StoreUnreachableError if
Redis does not answer. Every rejection by a limit is logged.
"""

from collections.abc import Awaitable, Iterable
from typing import Any, Final

import structlog
from redis.asyncio import Redis

from frontend.access.principal import Key
from shared.bus import keys
from shared.bus.failures import reaching_store
from shared.bus.lua.limits import WINDOW_MS, LimitScripts
from shared.errors import RateLimitedError
from shared.events import SAMPLE_RATE_HZ

LEASE_S: Final = 15.0
"""The sessions of a frontend that has died are counted for so long."""
RENEW_INTERVAL_S: Final = 4.0
MAX_CLIENT_TOKENS: Final = 1000
"""Valid at the same time, for each key; their content is kept in Redis."""
SESSIONS_RETRY_S: Final = 2.0
"""The retry hint if a key has no free session: when one ends is not known."""

log = structlog.get_logger(__name__)


class Limiter:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = LimitScripts(redis)

    async def take_request(self, key: Key) -> None:
        """Count one request. Raises RateLimitedError if there are too many."""
        limit = key.limits.requests_per_minute
        if limit is None:
            return
        wait_ms = await _asked(
            self._scripts.take(keys=[keys.requests_of(key.name)], args=[WINDOW_MS / limit, WINDOW_MS, 0])
        )
        if wait_ms:
            reason = f"The key {key.name} allows {limit} requests a minute, and they are used up."
            raise _rejected(key.name, reason, wait_ms / 1000)

    async def enter(self, key: Key, session_id: str) -> None:
        """Count a session from now on. Raises RateLimitedError if there are too many, or if the audio is used up."""
        limits = key.limits
        if limits.sessions is None and limits.audio_s_per_minute is None:
            return
        most = "" if limits.sessions is None else limits.sessions
        answer = await _asked(
            self._scripts.enter(
                keys=[keys.sessions_of(key.name), keys.audio_of(key.name)],
                args=[session_id, most, int(LEASE_S * 1000), WINDOW_MS],
            )
        )
        if answer < 0:
            reason = f"The key {key.name} allows {limits.sessions} sessions at the same time, and they are taken."
            raise _rejected(key.name, reason, SESSIONS_RETRY_S)
        if answer and limits.audio_s_per_minute is not None:
            reason = f"The key {key.name} allows {limits.audio_s_per_minute} s of audio a minute, and they are used up."
            raise _rejected(key.name, reason, answer / 1000)

    async def charge(self, key: Key, samples: int) -> float:
        """Take audio from the key's minute, even if none is left; returns the seconds until it would have been
        available."""
        limit = key.limits.audio_s_per_minute
        if limit is None:
            return 0.0
        cost_ms = samples / SAMPLE_RATE_HZ / limit * WINDOW_MS
        wait_ms: int = await _asked(self._scripts.take(keys=[keys.audio_of(key.name)], args=[cost_ms, WINDOW_MS, 1]))
        return wait_ms / 1000

    async def renew(self, name: str, session_ids: Iterable[str]) -> None:
        """Renew the leases of these sessions."""
        await _asked(self._scripts.renew(keys=[keys.sessions_of(name)], args=[int(LEASE_S * 1000), *session_ids]))

    async def leave(self, name: str, session_id: str) -> None:
        """The session has ended."""
        await _asked(self._redis.zrem(keys.sessions_of(name), session_id))

    async def remember(self, name: str, digest: str, content: bytes, life_s: int) -> None:
        """Store the content of a client token of the key of this name.

        Raises RateLimitedError if the key has the maximum of valid tokens.
        """
        wait_ms = await _asked(
            self._scripts.issue(keys=[keys.client_secrets_of(name)], args=[digest, life_s * 1000, MAX_CLIENT_TOKENS])
        )
        if wait_ms:
            reason = f"{name} has {MAX_CLIENT_TOKENS} valid client tokens, the maximum; give them a shorter life."
            raise _rejected(name, reason, wait_ms / 1000)
        await _asked(self._scripts.note(keys=[keys.UNERASED], args=[digest, life_s * 1000]))
        await _asked(self._redis.set(keys.client_secret(digest), content, ex=life_s))

    async def recall(self, digest: str) -> bytes | None:
        """The content of the client token with this digest; None if it has expired or never existed."""
        found: bytes | None = await _asked(self._redis.get(keys.client_secret(digest)))
        return found


def _rejected(name: str, reason: str, retry_after_s: float) -> RateLimitedError:
    log.warning("access_rejected", reason=reason, name=name)
    return RateLimitedError(reason, retry_after_s=retry_after_s)


async def _asked(question: Awaitable[Any]) -> Any:
    with reaching_store():
        return await question
