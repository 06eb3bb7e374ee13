"""Workers of one session, `s1`, reduced to the scripts that they call."""

from typing import Any

import orjson
from redis.asyncio import Redis

from shared.bus import keys, moves, ownership
from shared.bus.lua.sessions import FENCED, Scripts
from shared.bus.ownership import Kept, NewSession, Owner, Settled
from shared.bus.registry import Registry


def new_session(session_id: str = "s1", capacity: int = 2, model: str = "echo") -> NewSession:
    return NewSession(
        session_id,
        model,
        capacity=capacity,
        claim_timeout_s=5,
        options=b"{}",
        resume_digest="digest",
        viewer_digest="digest",
    )


async def admitted(redis: Redis, session_id: str = "s1", capacity: int = 2, model: str = "echo") -> bool:
    return await Registry(redis, Scripts(redis)).admit(new_session(session_id, capacity, model))


async def reserve(redis: Redis, session_id: str, capacity: int = 2) -> Any:
    """Only the first of the two scripts of an admission."""
    names, arguments = ownership.reserve(new_session(session_id, capacity))
    return await Scripts(redis).reserve(keys=names, args=arguments)


async def claim(redis: Redis, worker: str, session_id: str = "s1") -> Owner | None:
    found = await moves.claim(Scripts(redis), session_id, "echo", worker)
    if not isinstance(found, list):
        return None
    return Owner(session_id, "echo", worker, int(dict(zip(found[::2], found[1::2], strict=True))[b"fence"]))


async def write(redis: Redis, owner: Owner | None, first_seq: int, *texts: str, kind: str = "e", **more: Any) -> int:
    assert owner is not None
    said = [
        (kind, orjson.dumps({"type": "partial", "seq": seq, "text": text})) for seq, text in enumerate(texts, first_seq)
    ]
    if (ending := more.get("ending")) is not None and await renew(redis, owner) != FENCED:
        await release(redis, owner, ending.retention_s)
    names, arguments = ownership.write(owner, first_seq, said, **more)
    return int(await Scripts(redis).write(keys=names, args=arguments))


async def release(redis: Redis, owner: Owner, kept_s: int) -> None:
    slots = int(await redis.hget(keys.session(owner.session_id), "slots") or 1)
    names, arguments = ownership.release(owner.session_id, owner.model, owner.worker_id, slots, kept_s)
    await Scripts(redis).release(keys=names, args=arguments)


async def renew(redis: Redis, owner: Owner | None, gone_s: float | None = None, slots: int = 1) -> int:
    assert owner is not None
    names, arguments = ownership.renew(owner)
    answer = int(await Scripts(redis).renew(keys=names, args=arguments))
    if answer == 1:
        await keep(redis, owner, gone_s, slots)
    return answer


async def keep(redis: Redis, owner: Owner, gone_s: float | None = None, slots: int = 1) -> None:
    names, arguments = ownership.keep(owner.model, [Kept(owner.session_id, gone_s, slots)])
    await Scripts(redis).keep(keys=names, args=arguments)


async def offer(redis: Redis, owner: Owner) -> int:
    names, arguments = ownership.offer(owner)
    return int(await Scripts(redis).offer(keys=names, args=arguments))


async def erase(redis: Redis, session_id: str = "s1", model: str = "echo") -> bytes | None:
    owner = await moves.erase(Scripts(redis), session_id, model)
    return None if owner is None else owner.encode()


def settled(checkpoint_samples: int, segment: int = 1, options: bytes | None = None) -> Settled:
    return Settled(checkpoint_samples, segment, options)


async def logged(redis: Redis) -> list[str]:
    return [orjson.loads(fields[b"e"])["text"] for _, fields in await redis.xrange(keys.events("s1"))]
