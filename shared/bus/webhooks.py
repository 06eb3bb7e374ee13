"""The events of sessions for webhooks, in Redis: which sessions have one, what waits to be sent, and when it is due.

    frontend   `register`, before any worker can claim the session
    sender     `take_sessions`, `look_up`: reads the event logs, and stores what is to be sent
               `take_due`, `pending`, `settle`, `again_later`: sends it

A name that a sender takes is due again after a while, so that another sender continues if the process dies. So an event
may be sent twice, and always under the same id. Workers know nothing of all this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import orjson
from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.append_only import now_ms
from shared.bus.lua import webhooks as lua
from shared.bus.messages import EVENT_FIELD, WebhookField
from shared.bus.scripts import Script
from shared.bus.states import ENDED, decoded
from shared.webhooks.webhook import Webhook

LOOK_S: Final = 1.0
"""How often a session is looked up."""
LOOK_LEASE_S: Final = 10.0
"""After this time another sender looks a session up that a sender has taken."""
MAX_SESSIONS: Final = 200
"""Sessions that are looked up at a time."""
PAGE_FINALS: Final = 100
MAX_FIELDS: Final = 2000
"""Limit of the waiting events of a session, each with its number of attempts."""


@dataclass(frozen=True, slots=True)
class Look:
    """What has happened in a session since it was looked up before."""

    session_id: str
    webhook: Webhook | None
    """None if it was erased."""
    finals: list[bytes]
    finals_before: int
    last: bytes | None
    """The last event in the log."""
    has_ended: bool
    is_lost: bool
    """Whether its events have expired."""

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to do."""
        return self.webhook is not None and not self.finals and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether nothing follows."""
        return (self.has_ended or self.is_lost) and len(self.finals) < PAGE_FINALS


@dataclass(frozen=True, slots=True)
class Pending:
    """An event that waits to be sent."""

    name: str
    """`{session id}/{seq}`"""
    webhook: Webhook
    body: bytes
    attempts: int
    """Those that have failed."""

    @property
    def session_id(self) -> str:
        return self.name.partition("/")[0]


async def register(redis: Redis, session_id: str, webhook: Webhook, keep_s: float) -> None:
    """Have the events of a session sent. `keep_s` is how long an event may wait. Raises Redis' errors."""
    name = keys.webhook(session_id)
    await redis.hset(name, WebhookField.TARGET, orjson.dumps(webhook.to_wire()).decode())
    await redis.expire(name, int(keep_s))
    await Script(redis, lua.POSTPONE)(keys=[keys.REPORTED], args=[int(keep_s), 0, session_id])


class Outbox:
    """One per sender. All methods raise Redis' errors, and may be repeated."""

    def __init__(self, redis: Redis, keep_s: float) -> None:
        """`keep_s` is how long an event may wait."""
        self._redis = redis
        self._keep_s = int(keep_s)
        self._take = Script(redis, lua.TAKE)
        self._postpone = Script(redis, lua.POSTPONE)
        self._store = Script(redis, lua.STORE)
        self._advance = Script(redis, lua.ADVANCE)
        self._record = Script(redis, lua.RECORD)
        self._settle = Script(redis, lua.SETTLE)

    async def take_sessions(self) -> list[str]:
        """Sessions to look up now."""
        return await self._taken(keys.REPORTED, LOOK_LEASE_S, MAX_SESSIONS)

    async def take_due(self, count: int, lease_s: float) -> list[str]:
        """Events to send now, by their names."""
        return await self._taken(keys.DUE, lease_s, count)

    async def look_up(self, session_ids: Sequence[str]) -> list[Look]:
        """What is new in these sessions, with two round trips for all."""
        pipe = self._redis.pipeline(transaction=False)
        for one in session_ids:
            pipe.hmget(keys.webhook(one), [WebhookField.TARGET, WebhookField.FINALS])
            pipe.hget(keys.session(one), "state")
            pipe.expire(keys.webhook(one), self._keep_s)
        found = iter(await pipe.execute())
        known = [
            (one, *target, decoded(state))
            for one, target, state, _ in zip(session_ids, found, found, found, strict=True)
        ]
        pipe = self._redis.pipeline(transaction=False)
        for session_id, _, before, _ in known:  # after the states: the finals of a session that has ended are complete
            pipe.lrange(keys.finals(session_id), int(before or 0), int(before or 0) + PAGE_FINALS - 1)
            pipe.xrevrange(keys.events(session_id), count=1)
        found = iter(await pipe.execute())
        return [
            Look(
                session_id,
                None if target is None else Webhook.from_wire(orjson.loads(target)),
                finals=next(found),
                finals_before=int(before or 0),
                last=next((fields[EVENT_FIELD.encode()] for _, fields in next(found)), None),
                has_ended=state in ENDED,
                is_lost=state is None,
            )
            for session_id, target, before, state in known
        ]

    async def store(self, look: Look, bodies: Mapping[int | str, bytes]) -> int:
        """Store events to be sent, by their `seq`, and when the session is looked up next. Returns how many were
        stored: if many wait already, not all, but the last one of a session. Not needed for a look that is quiet.

        Its progress is stored last, so that nothing is missed if this process dies meanwhile.
        """
        session_id, stored = look.session_id, 0
        if bodies:
            fields = [part for seq, body in bodies.items() for part in (_field(seq), body)]
            key = keys.webhook(session_id)
            kept = await self._store(keys=[key], args=[self._keep_s, MAX_FIELDS, int(look.is_over), *fields])
            stored = len(kept)
            if kept:
                names = [f"{session_id}/{field.decode().removeprefix(WebhookField.EVENT)}" for field in kept]
                await self._postpone(keys=[keys.DUE], args=[self._keep_s, 0, *names])
        ended = "1" if look.is_over else ""
        if look.finals or ended:
            seen = look.finals_before + len(look.finals)
            await self._advance(keys=[keys.webhook(session_id)], args=[seen, ended])
        if ended and not stored:
            await self._settled(session_id, "-")
        if ended or look.webhook is None:
            await self._redis.zrem(keys.REPORTED, session_id)
        else:
            await self._put_off(keys.REPORTED, LOOK_S if len(look.finals) < PAGE_FINALS else 0, session_id)
        return stored

    async def look_later(self, session_ids: Sequence[str]) -> None:
        """Look these sessions up again at the usual time."""
        if session_ids:
            await self._put_off(keys.REPORTED, LOOK_S, *session_ids)

    async def pending(self, name: str) -> Pending | None:
        """An event that is due; None if it must not be sent any more."""
        session_id, _, seq = name.partition("/")
        wanted = [WebhookField.TARGET, _field(seq), _attempts(seq)]
        held = await self._redis.hmget(keys.webhook(session_id), wanted)
        target, body, attempts = cast("list[bytes | None]", held)
        if target is None or body is None:
            await self._redis.zrem(keys.DUE, name)
            return None
        return Pending(name, Webhook.from_wire(orjson.loads(target)), body, int(attempts or 0))

    async def settle(self, name: str) -> None:
        """Do not send an event again: it has been delivered, or given up."""
        session_id, _, seq = name.partition("/")
        await self._settled(session_id, _field(seq), _attempts(seq))
        await self._redis.zrem(keys.DUE, name)

    async def again_later(self, pending: Pending, pause_s: float) -> None:
        """Send an event again after a pause."""
        seq = pending.name.partition("/")[2]
        recorded = [self._keep_s, _field(seq), _attempts(seq), pending.attempts + 1]
        if await self._record(keys=[keys.webhook(pending.session_id)], args=recorded):
            await self._put_off(keys.DUE, pause_s, pending.name)

    async def drop_all(self, session_id: str) -> None:
        """Send nothing more of a session: its receiver wants no more."""
        await self._redis.delete(keys.webhook(session_id))
        await self._note_erasable(session_id)
        await self._redis.zrem(keys.REPORTED, session_id)

    async def counts(self) -> tuple[int, int]:
        """The sessions with a webhook, and the events that wait."""
        return int(await self._redis.zcard(keys.REPORTED)), int(await self._redis.zcard(keys.DUE))

    async def _taken(self, index: str, lease_s: float, count: int) -> list[str]:
        taken = await self._take(keys=[index], args=[int(lease_s * 1000), count]) if count > 0 else []
        return [name.decode() for name in taken]

    async def _put_off(self, index: str, pause_s: float, *names: str) -> None:
        await self._postpone(keys=[index], args=[self._keep_s, max(1, int(pause_s * 1000)), *names])

    async def _settled(self, session_id: str, *fields: str) -> None:
        if await self._settle(keys=[keys.webhook(session_id)], args=fields) == 1:
            await self._note_erasable(session_id)

    async def _note_erasable(self, session_id: str) -> None:
        """Have the text of deleted events removed from Redis' append-only file, too."""
        await self._redis.zadd(keys.UNERASED, {session_id: await now_ms(self._redis)}, nx=True)


def _field(seq: int | str) -> str:
    return f"{WebhookField.EVENT}{seq}"


def _attempts(seq: int | str) -> str:
    return f"{WebhookField.ATTEMPTS}{seq}"
