"""The metering of one session: counts its audio and charges it every second; holds its place among the key's sessions.

Audio never waits for Redis: it is charged after it has been accepted. If Redis answers that the key's limit is reached,
the session is slowed down, as it is by a worker that cannot keep up.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import structlog
from redis.exceptions import RedisError

from frontend.access.limiter import Limiter
from frontend.access.principal import Key, Principal
from shared.bus.failures import store_error
from shared.errors import ServerBusyError, StoreUnreachableError, VoxtralError
from shared.events import SAMPLE_RATE_HZ
from shared.metrics.metrics import Counter

log = structlog.get_logger(__name__)

CHARGE_SAMPLES: Final = SAMPLE_RATE_HZ
"""Audio is charged in portions of this size."""


class Meter:
    """Created by `Access.enter`. Everything but `add` is for `Access` and `Gateway`."""

    def __init__(
        self,
        session_id: str,
        principal: Principal,
        key: Key | None,
        limiter: Limiter,
        *,
        usage: Counter,
        start: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        forget: Callable[["Meter"], None],
    ) -> None:
        """`usage` counts the seconds of audio of the principal. `start` runs a background task of this process, and
        `forget` is called once at the end."""
        self.session_id = session_id
        self.principal = principal
        self.key = key
        """With its current limits; None if keys are off."""
        self.on_revoked: Callable[[VoxtralError], None] | None = None
        """Called when the key is no longer valid. None until the session has its slots."""
        self._limiter = limiter
        self._usage = usage
        self._start = start
        self._forget = forget
        self._uncharged_samples = 0
        self._charging: asyncio.Task[None] | None = None
        self._paid_at_s = 0.0
        self._is_handed_over = False
        self._closed = False

    @property
    def wait_s(self) -> float:
        """How long to accept no more audio, because the key limits audio per minute."""
        return max(0.0, self._paid_at_s - time.monotonic())

    @property
    def limit_text(self) -> str:
        """The message that says why the session is slowed down."""
        assert self.key is not None
        limit = self.key.limits.audio_s_per_minute
        return f"The key {self.key.name} allows {limit} s of audio a minute; further audio is accepted more slowly."

    @property
    def is_leased(self) -> bool:
        """Whether it holds a place among the sessions of the key."""
        return self.key is not None and self.key.limits.sessions is not None and not self._is_handed_over

    def hand_over(self) -> None:
        """Another connection has the session now, and its meter holds the place: do not free it at the end."""
        self._is_handed_over = True

    def add(self, samples: int) -> None:
        """Count accepted audio."""
        self._usage.add(samples / SAMPLE_RATE_HZ)
        if self.key is None or self.key.limits.audio_s_per_minute is None:
            return
        self._uncharged_samples += samples
        if self._uncharged_samples >= CHARGE_SAMPLES and self._charging is None:
            self._charging = self._start(self._charge(self.key), "charge audio")

    def close(self) -> None:
        """The session has ended: charge the rest, and free its place."""
        if self._closed:
            return
        self._closed = True
        self._forget(self)
        if self.key is not None and (self.is_leased or self._uncharged_samples):
            self._start(self._settle(self.key), "settle audio")

    async def _charge(self, key: Key) -> None:
        samples = self._uncharged_samples
        try:
            wait_s = await self._limiter.charge(key, samples)
            self._uncharged_samples -= samples
            self._paid_at_s = time.monotonic() + wait_s
        except (StoreUnreachableError, ServerBusyError):
            pass  # it is charged with the next second; without Redis the session itself soon stops
        finally:
            self._charging = None

    async def _settle(self, key: Key) -> None:
        if self._charging is not None:
            await asyncio.wait((self._charging,))
        try:
            if self._uncharged_samples:
                await self._limiter.charge(key, self._uncharged_samples)
            if self.is_leased:
                await self._limiter.leave(key.name, self.session_id)
        except (StoreUnreachableError, ServerBusyError):
            pass  # the lease expires


@contextlib.contextmanager
def closed_on_failure(meter: Meter) -> Iterator[None]:
    """Closes the meter if its session does not start. Redis failures become those of `reaching_store`."""
    try:
        yield
    except BaseException as error:
        meter.close()
        if isinstance(error, RedisError | OSError):
            log.warning("redis_unavailable", reason=str(error))
            raise store_error(error) from error
        raise
