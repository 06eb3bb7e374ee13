"""Every script in every state of a session, on a real server: exactly the moves of the table happen."""

from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.bus import keys
from shared.bus.attachment import attach
from shared.bus.lua.audio import APPEND
from shared.bus.lua.sessions import FENCED
from shared.bus.messages import EntryField
from shared.bus.ownership import Ending, Owner
from shared.bus.scripts import Script
from shared.bus.states import ENDED, OWNED, Move, SessionState, StateOrNone, decoded, targets
from tests.integration import owners

pytestmark = pytest.mark.redis_server

OWNER = Owner("s1", "echo", "w1", fence=1)
"""Of a session that has an owner, or had one until it ended."""


async def in_state(redis: Redis, state: StateOrNone) -> Owner:
    """Bring the session into a state by the scripts themselves. Returns its last owner."""
    await redis.flushall()
    if state is None:
        return OWNER
    assert await owners.admitted(redis)
    if state is SessionState.WAITING:
        return Owner("s1", "echo", "w1", fence=0)
    assert await owners.claim(redis, "w1") == OWNER
    if state is SessionState.OFFERED:
        await owners.offer(redis, OWNER)
    elif state in ENDED:
        await owners.write(redis, OWNER, 1, ending=Ending(state, 10))
    return OWNER


async def state_of(redis: Redis) -> str | None:
    return decoded(await redis.hget(keys.session("s1"), "state"))


async def admit(redis: Redis, _owner: Owner) -> bool:
    try:
        return await owners.admitted(redis)
    except ResponseError:
        return False


async def claim(redis: Redis, _owner: Owner) -> bool:
    return await owners.claim(redis, "w2") is not None


async def renew(redis: Redis, owner: Owner) -> bool:
    return await owners.renew(redis, owner) == 1


async def offer(redis: Redis, owner: Owner) -> bool:
    return await owners.offer(redis, owner) == 1


async def erase(redis: Redis, _owner: Owner) -> bool:
    return await owners.erase(redis) is not None


def end(ending: SessionState) -> Callable[[Redis, Owner], Awaitable[bool]]:
    async def run(redis: Redis, owner: Owner) -> bool:
        before = await redis.hget(keys.session("s1"), "owner")
        answer = await owners.write(redis, owner, 2, ending=Ending(ending, 10))
        return answer != FENCED and bool(before)

    return run


SCRIPTS = [
    *((Move.ADMIT, SessionState.WAITING, admit), (Move.CLAIM, SessionState.LIVE, claim), (Move.RENEW, None, renew)),
    *((Move.OFFER, SessionState.OFFERED, offer), (Move.ERASE, None, erase)),
    *((Move.END, ending, end(ending)) for ending in sorted(ENDED)),
]


@pytest.mark.parametrize(("move", "target", "run"), SCRIPTS, ids=[f"{move}-{target}" for move, target, _ in SCRIPTS])
async def test_script_makes_exactly_the_moves_of_the_table(
    redis: Redis, move: Move, target: SessionState | None, run: Callable[[Redis, Owner], Awaitable[bool]]
) -> None:
    """The scripts `renew` and `erase` have one target for each state, and no choice."""
    for state in (None, *SessionState):
        for lease_in_force in (True, False):
            owner = await in_state(redis, state)
            if state is not None and not lease_in_force:
                await redis.hset(keys.session("s1"), "lease", 0)
            allowed = targets(move, state, lease_in_force=lease_in_force)
            case = f"{move} of a session in {state}, lease in force: {lease_in_force}"
            assert await run(redis, owner) == bool(allowed), case
            after = await state_of(redis)
            if not allowed:
                assert after == state, case
            elif target is None:
                assert {after} == allowed, case
            else:
                assert after == target, case
                assert after in allowed, case


async def attach_client(redis: Redis, _owner: Owner) -> None:
    await attach(redis, "s1")


async def append(redis: Redis, _owner: Owner) -> None:
    names = [keys.session("s1"), keys.audio("s1")]
    await Script(redis, APPEND)(keys=names, args=[100, 0, 1, "1600-0", "", 2, EntryField.AUDIO, b"\0\0" * 1600])


async def write(redis: Redis, owner: Owner) -> None:
    await owners.write(redis, owner, 1, "one", settled=owners.settled(1600), consumed_samples=1600)


@pytest.mark.parametrize("run", [attach_client, append, write])
async def test_other_scripts_move_no_session(redis: Redis, run: Callable[[Redis, Owner], Awaitable[None]]) -> None:
    for state in (None, *SessionState):
        owner = await in_state(redis, state)
        await run(redis, owner)
        assert await state_of(redis) == state


async def test_admission_of_a_session_that_exists_names_what_came(redis: Redis) -> None:
    await in_state(redis, SessionState.OFFERED)
    with pytest.raises(ResponseError, match="Move admit: a session in offered came, expected no session"):
        await owners.admitted(redis)


async def test_write_of_a_session_without_owner_ends_nothing(redis: Redis) -> None:
    owner = await in_state(redis, SessionState.WAITING)
    await owners.write(redis, owner, 1, ending=Ending(SessionState.DONE, 10))
    assert SessionState.WAITING not in OWNED
    assert await state_of(redis) == SessionState.WAITING
