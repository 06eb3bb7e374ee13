"""Events from a worker to the frontends: pub/sub for low latency, the log for completeness.

One subscription connection serves all sessions of a process. A follower that sees a gap in `seq`, or that was
too slow for its queue, reads what it missed from the log, so that events arrive complete and in order.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.bus import keys
from shared.bus.messages import ATTACHED, EVENT_FIELD, PROGRESS
from shared.bus.redis_internals import own_connection
from shared.bus.sharded import is_of_cluster, on_each_shard, shard_of, tag_of

QUEUE_MAX: Final = 512
"""Events queued for one slow follower; it reads further ones from the log."""
QUIET_S: Final = 1.5
"""Sessions with more recent events need not be looked up: none was lost."""
RECONNECT_PAUSE_S: Final = 0.25
CONFIRMATION_S: Final = 5.0
"""Redis must confirm a subscription within this time."""
AUDIO_PROCESSED: Final = "audio_processed"
"""The type of an event about the position up to which audio is processed. It follows all events about that audio; it is
not in the log, and only sessions with `SessionOptions.progress_ms` have it."""
_PROGRESS: Final = PROGRESS.encode()
_ATTACHED: Final = ATTACHED.encode()
_EVENT_FIELD: Final = EVENT_FIELD.encode()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event of the log: the JSON text for native clients, and the same parsed."""

    raw: bytes
    wire: dict[str, Any]
    arrived_s: float | None = None
    """When it was published to its follower, by the follower's clock; None if it was not."""

    @property
    def type(self) -> str:
        return str(self.wire["type"])


class Follower:
    """The events of one session after a given `seq`, for one reader."""

    def __init__(
        self, redis: Redis, session_id: str, after_seq: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis
        self._clock = clock
        self.session_id = session_id
        self._queue: deque[tuple[bytes, float]] = deque()
        """Events, and when they arrived."""
        self._arrived = asyncio.Event()
        self._must_fill = after_seq > 0
        self._after_seq = after_seq
        self._asides: dict[str, LoggedEvent] = {}
        self._ending: dict[str, Any] | None = None
        self.subscribed = asyncio.Event()
        """Set when Redis has confirmed the subscription, so that everything published later arrives."""
        self._heard_at_s = clock()
        """When the last message arrived."""
        self._lookup_requested = False
        self.consumed_samples = 0
        """Audio that the worker has processed, by its last report."""
        self.progressed = asyncio.Event()
        """Set at each change of `consumed_samples`."""
        self.on_progress: Callable[[int], None] | None = None
        """Called with `consumed_samples` at each report. Events that were published before it are queued already."""
        self.on_attached: Callable[[int], None] | None = None
        """Called with the number of each connection that takes the session over."""
        self.last_attached = 0
        """The highest of these numbers, also of those that were reported before `on_attached` was set."""

    @property
    def seq(self) -> int:
        """Number of the last event that was yielded."""
        return self._after_seq

    def is_quiet(self, for_s: float) -> bool:
        """Whether no message has arrived for so long, or none has arrived since a look-up was requested."""
        return self._lookup_requested or self._clock() - self._heard_at_s > for_s

    def request_lookup(self) -> None:
        """Report that a message may have been lost, so that this session is looked up as if it were quiet."""
        self._lookup_requested = True

    def push(self, payload: bytes) -> None:
        """Called by the subscriber for each message on the session's channel."""
        self._heard_at_s = self._clock()
        self._lookup_requested = False
        if payload.startswith(_PROGRESS):
            self.progress(orjson.loads(payload)["consumed"])
            return
        if payload.startswith(_ATTACHED):
            connection = orjson.loads(payload)["connection"]
            self.last_attached = max(self.last_attached, connection)
            if self.on_attached is not None:
                self.on_attached(connection)
            return
        if self._ending is not None:
            return
        if len(self._queue) >= QUEUE_MAX:
            self._queue.clear()
            self._must_fill = True
        self._queue.append((payload, self._heard_at_s))
        self._arrived.set()

    def progress(self, consumed_samples: int) -> None:
        self.consumed_samples = max(self.consumed_samples, consumed_samples)
        self.progressed.set()
        if self.on_progress is not None:
            self.on_progress(self.consumed_samples)

    def fill(self) -> None:
        """Read the log before the next event, since something may have been missed."""
        self._must_fill = True
        self._arrived.set()

    def tell(self, kind: str, event: LoggedEvent) -> None:
        """Yield an event that is not in the log, after all that have arrived. It replaces an older one of its kind that
        still waits."""
        self._asides[kind] = event
        self._arrived.set()

    def end_with(self, event: dict[str, Any]) -> None:
        """Make this the last event, after those that have arrived, with the `seq` that follows theirs.

        Only the first call has an effect. The event is not in the log: another reader may find a different one with
        this `seq` there.
        """
        self._ending = self._ending or event
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[LoggedEvent]:
        """Every event after `after_seq`, once and in order, and those passed to `tell`. Ends only by `end_with`."""
        while True:
            if self._must_fill:
                self._must_fill = False
                async for event in self._missed():
                    yield event
            while self._queue:
                event = parsed(*self._queue.popleft())
                seq = event.wire["seq"]
                if seq > self._after_seq + 1:
                    async for missed in self._missed(before_seq=seq):
                        yield missed
                if seq > self._after_seq:
                    self._after_seq = seq
                    yield event
            if self._asides:
                yield self._asides.pop(next(iter(self._asides)))
                continue  # events may have arrived meanwhile, before the next of these was told
            if self._ending is not None:
                wire = self._ending | {"seq": self._after_seq + 1}
                yield LoggedEvent(orjson.dumps(wire), wire)
                return
            await self._arrived.wait()
            self._arrived.clear()

    async def _missed(self, before_seq: int | None = None) -> AsyncIterator[LoggedEvent]:
        upto = "+" if before_seq is None else f"({before_seq}-0"
        for _, fields in await self._read_log(f"({self._after_seq}-0", upto):
            event = parsed(fields[_EVENT_FIELD])
            self._after_seq = event.wire["seq"]
            yield event

    async def _read_log(self, first: str, last: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """A range of the log. Waits for an unavailable Redis, unless `end_with` has been called."""
        while self._ending is None:
            try:
                found = await self._redis.xrange(keys.events(self.session_id), first, last)
                return cast("list[tuple[bytes, dict[bytes, bytes]]]", found)
            except (RedisError, OSError) as error:
                log.warning("log_read_delayed", session_id=self.session_id, reason=str(error))
                await asyncio.sleep(RECONNECT_PAUSE_S)
        return []


class EventSubscriber:
    """The subscriptions of a process: one connection, on a Redis Cluster one to each shard."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._subscriptions: dict[Redis, _Subscription] = {}

    async def follow(self, session_id: str, after_seq: int = 0) -> Follower:
        """Subscribe; returns once Redis has confirmed it, so that nothing published later is missed.

        Raises redis.exceptions.TimeoutError if it does not within `CONFIRMATION_S`. A connection on which nothing
        has arrived for so long is then reopened: its peer may have gone without closing it.
        """
        follower = Follower(self._redis, session_id, after_seq)
        await self._at(session_id).follow(follower)
        return follower

    async def unfollow(self, follower: Follower) -> None:
        for subscription in list(self._subscriptions.values()):
            await subscription.unfollow(follower)

    async def run(self) -> None:
        """The loops of all connections; runs until cancelled. Each reconnects by itself."""
        await on_each_shard(self._redis, self._run)

    async def close(self) -> None:
        """Call this after `run` has ended."""
        for subscription in self._subscriptions.values():
            await subscription.close()

    async def _run(self, shard: Redis) -> None:
        await self._of(shard).run(self._moved)

    def _at(self, session_id: str) -> "_Subscription":
        return self._of(shard_of(self._redis, keys.channel(session_id)))

    def _of(self, shard: Redis) -> "_Subscription":
        if shard not in self._subscriptions:
            self._subscriptions[shard] = _Subscription(shard)
        return self._subscriptions[shard]

    async def _moved(self, former: "_Subscription") -> None:
        """Move the followers of sessions that another shard has now."""
        for follower in former.followers():
            with contextlib.suppress(RedisError):  # no shard has it now
                subscription = self._at(follower.session_id)
                if subscription is not former:
                    await former.unfollow(follower)
                    await subscription.add(follower)


class _Subscription:
    """The one subscription connection to a server.

    Only `run` opens it and reads from it. Other tasks write to it while it is open; channels that they follow while it
    is closed are subscribed to by `run` when it opens. (redis-py's own `PubSub` is opened by each task that subscribes:
    if two do so at the same moment, one connection is subscribed and the other one is read.)

    On a Redis Cluster channels are sharded: a message stays on the shard of its session.
    """

    def __init__(self, shard: Redis) -> None:
        self._connection = own_connection(shard)
        self._s = b"s" if is_of_cluster(shard) else b""
        """Commands and messages of sharded channels begin with it."""
        tag = tag_of(shard)
        self._idle_channel = (keys.idle_channel(tag) if tag else keys.IDLE_CHANNEL).encode()
        self._is_open = False
        self._heard_at_s = 0.0
        """When Redis last sent something on it."""
        self._followers: dict[bytes, set[Follower]] = {}
        """By channel. A session briefly has two when a client moves it from one connection to another."""

    def followers(self) -> list[Follower]:
        return [follower for followers in self._followers.values() for follower in followers]

    async def follow(self, follower: Follower) -> None:
        asked_at_s = time.monotonic()
        try:
            async with asyncio.timeout(CONFIRMATION_S):
                await self.add(follower)
                await follower.subscribed.wait()
        except BaseException as error:
            self._forget(follower)
            if isinstance(error, TimeoutError):
                if self._is_open and self._heard_at_s < asked_at_s:
                    await self._connection.disconnect(nowait=True)
                raise RedisTimeoutError(f"No subscription within {CONFIRMATION_S:g} s") from None
            raise

    async def add(self, follower: Follower) -> None:
        channel = _channel_of(follower)
        self._followers.setdefault(channel, set()).add(follower)
        await self._send("SUBSCRIBE", channel)

    async def unfollow(self, follower: Follower) -> None:
        if self._forget(follower):
            await self._send("UNSUBSCRIBE", _channel_of(follower))

    async def run(self, on_lost: Callable[["_Subscription"], Awaitable[None]]) -> None:
        """The loop; runs until cancelled. `on_lost` is called before it reconnects, and when it ends."""
        try:
            while True:
                try:
                    await self._connection.connect()  # type: ignore[no-untyped-call]
                    self._is_open = True
                    await self._send("SUBSCRIBE", self._idle_channel, *self._followers)
                    while True:
                        # No time-out: a quiet channel is normal, and keep-alive detects a dead peer.
                        response = await self._connection.read_response(timeout=math.inf)
                        self._heard_at_s = time.monotonic()
                        await self._dispatch(*response)
                except (RedisError, OSError) as error:
                    log.warning("subscription_lost", reason=str(error))
                    self._is_open = False
                    await self._connection.disconnect(nowait=True)
                    await asyncio.sleep(RECONNECT_PAUSE_S)
                    await on_lost(self)
        finally:
            await on_lost(self)

    async def close(self) -> None:
        self._is_open = False
        await self._connection.disconnect(nowait=True)

    def _forget(self, follower: Follower) -> bool:
        """True if the channel has no followers any more."""
        channel = _channel_of(follower)
        if channel not in self._followers:
            return False
        left = self._followers[channel]
        left.discard(follower)
        if not left:
            self._followers.pop(channel, None)
        return not left

    async def _send(self, command: str, *channels: bytes) -> None:
        """If the connection breaks, `run` notices it and subscribes to all channels again."""
        if not self._is_open or not self._connection.is_connected:
            return
        with contextlib.suppress(RedisError):
            if self._s:  # the channels of one command must have one hash slot
                for channel in channels:
                    await self._connection.send_command(f"S{command}", channel)
            else:
                await self._connection.send_command(command, *channels)

    async def _dispatch(self, kind: bytes, channel: bytes, payload: Any) -> None:
        kind = kind.removeprefix(self._s) if self._s else kind
        if kind == b"message":
            for follower in self._followers.get(channel, ()):
                follower.push(payload)
        elif kind == b"subscribe" and channel == self._idle_channel:
            self._fill_all()
        elif kind == b"subscribe" and channel in self._followers:
            for follower in self._followers[channel]:
                if self._s and follower.subscribed.is_set():  # again, after the idle channel
                    follower.fill()
                follower.subscribed.set()
        elif kind == b"subscribe":  # its followers have gone meanwhile
            await self._send("UNSUBSCRIBE", channel)
        elif kind == b"unsubscribe" and channel in self._followers:
            raise RedisConnectionError("Another shard has a session now.")

    def _fill_all(self) -> None:
        """After a reconnect: all channels are subscribed to again, and earlier events are in the log."""
        for followers in self._followers.values():
            for follower in followers:
                follower.fill()


def _channel_of(follower: Follower) -> bytes:
    return keys.channel(follower.session_id).encode()


def parsed(raw: bytes, arrived_s: float | None = None) -> LoggedEvent:
    """Parse an event of the log or the channel."""
    return LoggedEvent(raw, orjson.loads(raw), arrived_s)
