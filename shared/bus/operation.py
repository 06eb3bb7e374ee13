"""What operators read of live sessions, and what they request of workers.

A worker stores its sessions as one value each second, so the cost does not depend on the number of operators.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import orjson
from redis.asyncio import Redis

from shared.bus import control, keys
from shared.bus.messages import WorkerMessage
from shared.bus.states import SessionState, decoded


@dataclass(frozen=True, slots=True)
class ServedSession:
    """A session as its worker reports it."""

    id: str
    language: str | None
    """The language of the last final, otherwise the one that the client has set."""
    lag_ms: float
    """Age of its oldest audio that waits for the model; 0 for a recording."""
    audio_s: float
    """Audio that the worker has read."""
    is_recording: bool
    is_detached: bool
    """Whether its client is gone and may resume it."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a session began. Does not change."""

    key_name: str
    """Empty if keys were off."""
    created_ms: int
    """Redis' clock."""


async def write_served(redis: Redis, worker_id: str, served: Sequence[ServedSession]) -> None:
    content = orjson.dumps([asdict(one) for one in served])
    await redis.set(keys.served(worker_id), content, px=int(keys.HEARTBEAT_TTL_S * 1000))


async def read_served(redis: Redis, worker_ids: Sequence[str]) -> dict[str, list[ServedSession]]:
    """The sessions of each worker; none of a worker of an older version, which does not report them."""
    pipe = redis.pipeline(transaction=False)
    for worker_id in worker_ids:
        pipe.get(keys.served(worker_id))
    found = await pipe.execute() if worker_ids else []
    return {
        worker_id: [_known(one) for one in orjson.loads(content or b"[]")]
        for worker_id, content in zip(worker_ids, found, strict=True)
    }


async def read_openings(redis: Redis, session_ids: Iterable[str]) -> dict[str, Opening]:
    """How these sessions began; sessions that are gone are missing."""
    ids = list(session_ids)
    pipe = redis.pipeline(transaction=False)
    for session_id in ids:
        pipe.hmget(keys.session(session_id), ["key", "created"])
    found = await pipe.execute() if ids else []
    return {
        session_id: Opening((key or b"").decode(), int(created))
        for session_id, (key, created) in zip(ids, found, strict=True)
        if created is not None
    }


async def which_left(redis: Redis, worker_ids: Iterable[str]) -> set[str]:
    """Those of these workers that have left on purpose, a few minutes ago at most."""
    ids = list(worker_ids)
    pipe = redis.pipeline(transaction=False)
    for worker_id in ids:
        pipe.exists(keys.left(worker_id))
    found = await pipe.execute() if ids else []
    return {worker_id for worker_id, has_left in zip(ids, found, strict=True) if has_left}


async def request_end(redis: Redis, session_id: str) -> bool:
    """Ask the owner of a session to end it; its client gets `session_expired`. False if no worker owns it."""
    held = await redis.hmget(keys.session(session_id), ["owner", "state"])
    owner, state = cast("list[bytes | None]", held)
    if not owner or decoded(state) not in (SessionState.LIVE, SessionState.OFFERED):
        return False
    await control.send(redis, owner.decode(), WorkerMessage.END, session_id)
    return True


async def request_drain(redis: Redis, worker_id: str) -> bool:
    """Ask a worker to hand its sessions over and stop. False if there is no such worker."""
    if await redis.zscore(keys.WORKERS, worker_id) is None:
        return False
    await control.send(redis, worker_id, WorkerMessage.DRAIN, worker_id)
    return True


def _known(found: dict[str, Any]) -> ServedSession:
    return ServedSession(**{field.name: found[field.name] for field in fields(ServedSession)})
