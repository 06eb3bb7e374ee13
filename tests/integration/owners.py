"""Workers of one session, `s1`, reduced to the scripts that they call."""

from typing import Any

import orjson
from redis.asyncio import Redis

from shared.bus import keys, ownership
from shared.bus.lua.sessions import Scripts
from shared.bus.ownership import Owner, Settled
from shared.bus.registry import Registry


async def admitted(redis: Redis, session_id: str = "s1", capacity: int = 2, model: str = "echo") -> bool:
    registry = Registry(redis, Scripts(redis))
    return await registry.admit(
        session_id,
        model,
        capacity=capacity,
        claim_timeout_s=5,
        options=b"{}",
        resume_digest="digest",
        viewer_digest="digest",
    )


async def claim(redis: Redis, worker: str, session_id: str = "s1") -> Owner | None:
    names, arguments = ownership.claim(session_id, "echo", worker)
    found = await Scripts(redis).claim(keys=names, args=arguments)
    if not found:
        return None
    return Owner(session_id, "echo", worker, int(dict(zip(found[::2], found[1::2], strict=True))[b"fence"]))


async def write(redis: Redis, owner: Owner | None, first_seq: int, *texts: str, kind: str = "e", **more: Any) -> int:
    assert owner is not None
    said = [
        (kind, orjson.dumps({"type": "partial", "seq": seq, "text": text})) for seq, text in enumerate(texts, first_seq)
    ]
    names, arguments = ownership.write(owner, first_seq, said, **more)
    return int(await Scripts(redis).write(keys=names, args=arguments))


async def renew(redis: Redis, owner: Owner | None, gone_s: float | None = None) -> int:
    assert owner is not None
    names, arguments = ownership.renew(owner, gone_s=gone_s)
    return int(await Scripts(redis).renew(keys=names, args=arguments))


async def offer(redis: Redis, owner: Owner) -> int:
    names, arguments = ownership.offer(owner)
    return int(await Scripts(redis).offer(keys=names, args=arguments))


async def erase(redis: Redis, session_id: str = "s1", model: str = "echo") -> bytes | None:
    names, arguments = ownership.erase(session_id, model)
    answer: bytes | None = await Scripts(redis).erase(keys=names, args=arguments)
    return answer


def settled(checkpoint_samples: int, segment: int = 1, options: bytes | None = None) -> Settled:
    return Settled(checkpoint_samples, segment, options)


async def logged(redis: Redis) -> list[str]:
    return [orjson.loads(fields[b"e"])["text"] for _, fields in await redis.xrange(keys.events("s1"))]
