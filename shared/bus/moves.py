"""Moves of a session that take two scripts: one for the slots of its model, and one for the session itself.

The slots are shared by all sessions of a model. On a Redis Cluster they are on another node than the session's keys,
and the process may die between the two scripts, or one node may be gone. The order is such that this leaves nothing
that stays wrong for longer than a lease:

- **admit**: first the slots, then the session. In between there are slots without a session. They expire like those of
  a session that no worker claims: after the time to claim it and a lease.
- **claim**: first the worker's rank, which counts the slots as taken, then the session. In between its number of free
  slots is too low, until its next heartbeat a second later.
- **renew**: first the session, then its slots. Slots that are not renewed expire after `keys.HEARTBEAT_TTL_S`, and the
  next renewal, by whichever owner, takes them again.
- **end**: first the session is renewed, so that no other worker can claim it meanwhile and a former owner frees
  nothing, then its slots are freed, then its last event is written. In between the slots of a session that still runs
  are free: another session may be admitted to them, and waits until a worker has room. The next renewal takes them
  again. A client that has received the last event finds the slot free, unless the shard that has the slots does not
  answer: then the session ends without it, and its slots expire. The event writer does this.
- **erase**: first the session, then its slots, which expire by themselves.

The files of Redis may hold what was deleted. `keys.UNERASED` has a session from before it exists. If a later time is
not recorded there, the session is looked up again after the older one; see `shared.bus.append_only`.
"""

from typing import Any, cast

from shared.bus import keys, ownership
from shared.bus.lua.sessions import Scripts
from shared.bus.lua.slots import BEST, OTHERS_FREER
from shared.bus.ownership import NewSession
from shared.protocol import OWN, Protocol


async def admit(scripts: Scripts, wanted: NewSession) -> list[str] | None:
    """Reserve the slots, and make the session's hash and audio stream. None if too few slots are free.

    Returns the sessions whose clients are gone and that have lost their slots to this one. Raises Redis' errors.
    """
    names, arguments = ownership.reserve(wanted)
    reserved = await scripts.reserve(keys=names, args=arguments)
    if not reserved:
        return None
    names, arguments = ownership.admit(wanted)
    await scripts.admit(keys=names, args=arguments)
    return [loser.decode() for loser in reserved] if isinstance(reserved, list) else []


async def claim(
    scripts: Scripts,
    session_id: str,
    model: str,
    worker_id: str,
    *,
    slots: int = 1,
    free_slots: int | None = None,
    lease_s: float = keys.LEASE_S,
    protocol: Protocol = OWN,
) -> list[bytes] | int | None:
    """The fields and values of the session's hash after the claim, or why it was not claimed: see `CLAIM`.

    `slots` are those that the session needs, `free_slots` the worker's, None if they are enough for any session. Raises
    Redis' errors.
    """
    names, arguments = ownership.rank(model, worker_id, slots, free_slots)
    standing, workers = await scripts.rank(keys=names, args=arguments)
    names, arguments = ownership.claim(
        session_id, worker_id, standing=standing, workers=workers, lease_s=lease_s, protocol=protocol
    )
    found: Any = await scripts.claim(keys=names, args=arguments)
    is_claimed = isinstance(found, list)
    if is_claimed and standing == OTHERS_FREER:
        names, arguments = ownership.count(model, worker_id, -slots)
        await scripts.count(keys=names, args=arguments)
    elif not is_claimed and standing == BEST:
        names, arguments = ownership.count(model, worker_id, slots)
        await scripts.count(keys=names, args=arguments)
    return cast("list[bytes] | int | None", found)


async def erase(scripts: Scripts, session_id: str, model: str) -> str | None:
    """Delete the session's data and free its slots. Returns the owner to notify, empty if there is none; None if there
    is no such session. Raises Redis' errors."""
    names, arguments = ownership.erase(session_id)
    found = await scripts.erase(keys=names, args=arguments)
    if found is None:
        return None
    owner, slots = found
    names, arguments = ownership.release(session_id, model, owner.decode(), slots, 0)
    await scripts.release(keys=names, args=arguments)
    return str(owner.decode())
