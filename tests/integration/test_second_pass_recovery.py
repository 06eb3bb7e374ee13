"""A worker with a second model is lost: finals keep the texts that clients have, and each is revised at most once."""

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from frontend.sessions.session import Session
from shared.bus import keys, ownership
from shared.bus.lua.sessions import FENCED, Scripts
from shared.bus.ownership import Owner
from shared.session_options import SessionOptions
from tests.integration.owners import admitted, claim, write
from tests.integration.workers import SECOND, Fleet, events_of, redis_alone, until
from tests.limits import limit_s
from tests.stack import Stack
from tests.tiny.whisper import write_whisper


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("second-recovery")
    model = {"slots": 2, "second": "whisper", "second_path": str(write_whisper(folder / "tiny"))}
    with redis_alone(folder, model=model, session={"claim_timeout_s": limit_s(4), "revise_timeout_s": 60}) as stack:
        yield stack


async def test_new_owner_continues_with_revised_texts(fleet: Fleet) -> None:
    await fleet.start("first")
    session = await fleet.gateway.open(SessionOptions(language="en", revise=True, partials=False))
    hearing = asyncio.create_task(events_of(session))
    await says(session)
    await until(lambda: has_revised(fleet, session, 1))
    await fleet.start("second")
    fleet.signal("first", signal.SIGKILL)
    await until(lambda: fleet.is_owned_by(session, "second"))
    await says(session)
    await session.finish()
    events = await hearing
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    revised = [event for event in events if event["type"] == "revised"]
    assert [event["segment"] for event in revised] == [0, 1]
    assert events[-1]["text"] == " ".join(event["text"] for event in revised)
    kept = [orjson.loads(final)["text"] for final in await fleet.redis.lrange(keys.finals(session.id), 0, -1)]
    assert kept == [event["text"] for event in revised]


async def says(session: Session) -> None:
    await session.write(SECOND)
    await session.commit()


async def has_revised(fleet: Fleet, session: Session, count: int) -> bool:
    return len([event for event in await fleet.log(session) if event["type"] == "revised"]) == count


async def revise(redis: Redis, owner: Owner | None, seq: int, index: int, text: str) -> int:
    assert owner is not None
    lines: list[dict[str, Any]] = [{"type": "revised", "seq": seq, "text": text}]
    lines += [{"type": "final", "seq": index + 1, "text": text, "revised_seq": seq}]
    names, arguments = ownership.write(owner, seq, [(f"r{index}", b"\n".join(map(orjson.dumps, lines)))])
    return int(await Scripts(redis).write(keys=names, args=arguments))


async def finals(redis: Redis) -> list[str]:
    return [orjson.loads(final)["text"] for final in await redis.lrange(keys.finals("s1"), 0, -1)]


@pytest.mark.redis_server
async def test_revision_is_one_write_and_only_of_the_owner(redis: Redis) -> None:
    await admitted(redis)
    owner = await claim(redis, "w1")
    await write(redis, owner, 1, "won", "too", kind="f")
    assert await revise(redis, owner, 3, 0, "one") == 1
    assert (await finals(redis), await redis.hget(keys.session("s1"), "revised")) == (["one", "too"], b"3")
    assert await revise(redis, owner, 3, 0, "another") == 0, "a repeated write"
    assert await revise(redis, owner, 4, 7, "beyond") == 1, "the list is left alone"
    await redis.hset(keys.session("s1"), "lease", 0)
    assert await claim(redis, "w2") is not None
    assert await revise(redis, owner, 5, 1, "two") == FENCED
    assert await finals(redis) == ["one", "too"]
