"""Processes of different versions beside each other: what each protocol number has written is read by today's code."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from redis.asyncio import Redis

from frontend.monitoring.status import Snapshot
from shared.bus import keys, moves
from shared.bus.lua.sessions import UNREADABLE, Scripts
from shared.bus.registry import Registry, WorkerReport
from shared.errors import ModelUnavailableError
from shared.events import EventType
from shared.protocol import OWN, UNNUMBERED, Protocol
from shared.session_options import SessionOptions
from tests.integration.owners import admitted
from tests.integration.workers import SECOND, Fleet, events_of
from tests.stack import Stack
from voxtral_client.messages import parse_event
from worker.channels.states import ChannelStates
from worker.commitment import Commitment

PAYLOADS = Path(__file__).parent.parent / "payloads"
NEWER = Protocol(OWN.number + 2, OWN.number + 1)
LAST_TWO = [pytest.param(number, id=f"protocol {number}") for number in (OWN.number - 1, OWN.number)]
Recorded = dict[str, Any]


@pytest.fixture(scope="module")
def service(server: Stack) -> Stack:
    return server


@pytest.fixture(scope="module", params=LAST_TWO)
def recorded(request: pytest.FixtureRequest) -> Recorded:
    return json.loads((PAYLOADS / f"protocol_{request.param}.json").read_text())


def with_unknown(value: Any) -> Any:
    """With a field more in each JSON object, and in each text that holds one."""
    if isinstance(value, dict):
        return {name: with_unknown(inner) for name, inner in value.items()} | {"unknown": "7"}
    if isinstance(value, list):
        return [with_unknown(inner) for inner in value]
    if isinstance(value, str) and value.startswith('{"'):
        return json.dumps(with_unknown(json.loads(value)), ensure_ascii=False, separators=(",", ":"))
    return value


async def restore(redis: Redis, found: Recorded) -> None:
    """Bring the session back as it was when its worker had been killed."""
    sid = found["session_id"]
    await redis.hset(keys.session(sid), mapping=found["session"])
    for entry_id, fields in found["audio"]:
        await redis.xadd(keys.audio(sid), _bytes(fields), id=entry_id)
    for entry_id, fields in found["events"]:
        await redis.xadd(keys.events(sid), _bytes(fields), id=entry_id)
    await redis.rpush(keys.finals(sid), *(final.encode("latin-1") for final in found["finals"]))


def _bytes(fields: dict[str, str]) -> dict[Any, Any]:
    return {name: base64.b64decode(value) if name == "a" else value.encode("latin-1") for name, value in fields.items()}


async def test_session_of_other_processes_is_taken_over_and_resumed(fleet: Fleet, recorded: Recorded) -> None:
    await restore(fleet.redis, recorded)
    await fleet.start("worker")
    await assert_goes_on(fleet, recorded, recorded["tasks"]["stream:echo"])

    await fleet.redis.delete(*keys.of_session(recorded["session_id"]))
    newer = with_unknown(recorded)
    await restore(fleet.redis, newer)
    await add_unknown_entries(fleet.redis, newer)
    await assert_goes_on(fleet, newer, [with_unknown_argument(task) for task in recorded["tasks"]["stream:echo"]])
    assert "options_unreadable" in fleet.service.output("worker")


async def add_unknown_entries(redis: Redis, found: Recorded) -> None:
    """A control word, and options, that this version cannot read."""
    key, (last_id, _) = keys.audio(found["session_id"]), found["audio"][-1]
    entries = [{"c": "rewind", "v": "9"}]
    entries += [{"c": "configure", "v": options} for options in ('{"mode": "sing"}', "[", '{"commit_delay": "never"}')]
    for fields in entries:
        await redis.xadd(key, fields, id=f"{last_id.partition('-')[0]}-*")


def with_unknown_argument(task: str) -> str:
    message = json.loads(task)
    args, kwargs, embedded = json.loads(base64.b64decode(message["body"]))
    body = json.dumps([args, with_unknown(kwargs), embedded])
    return json.dumps(message | {"body": base64.b64encode(body.encode()).decode()})


async def assert_goes_on(fleet: Fleet, found: Recorded, tasks: list[str]) -> None:
    """With a second more of audio: nothing of it is lost or doubled."""
    session = await fleet.gateway.resume(found["session_id"], found["resume_token"], 0)
    await fleet.redis.lpush("stream:echo", *tasks)
    await session.write(SECOND)
    await session.finish()
    first, *events = await events_of(session)
    assert first["audio_received_samples"] == 16_000
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    finals = [event for event in events if event["type"] == "final"]
    assert [(final["start"], final["end"]) for final in finals] == [(0.0, 0.5), (0.5, 1.0), (1.0, 2.0)]
    assert (events[-1]["type"], events[-1]["duration"]) == ("done", 2.0)
    assert events[-1]["text"] == " ".join(final["text"] for final in finals)


@pytest.mark.parametrize("newer", [False, True], ids=["as recorded", "with unknown fields"])
async def test_heartbeats_of_other_processes_are_read(redis: Redis, recorded: Recorded, newer: bool) -> None:
    registry = Registry(redis, Scripts(redis))
    for index, reports in ((keys.WORKERS, recorded["workers"]), (keys.FRONTENDS, recorded["frontends"])):
        (report,) = with_unknown(reports) if newer else reports
        for number, lacking in (("1", report), ("2", {"id": "2", "version": "0"})):
            await redis.zadd(index, {number: 1})
            await redis.hset(keys.heartbeat(index, number), "report", orjson.dumps(lacking))
    (worker,), (frontend,) = await registry.workers(), await registry.frontends()
    number = recorded["session"].get("protocol", UNNUMBERED.number)
    assert (worker.model, worker.protocol.number) == ("echo", int(number))
    assert (frontend.kind, frontend.protocol.number) == ("test", int(number))
    assert OWN.fits(worker.protocol)


@pytest.fixture
async def report(fleet: Fleet, recorded: Recorded) -> WorkerReport:
    """Of a worker that is not there."""
    registry = Registry(fleet.redis, Scripts(fleet.redis))
    await fleet.redis.zadd(keys.WORKERS, {"1": 1})
    await fleet.redis.hset(keys.heartbeat(keys.WORKERS, "1"), "report", orjson.dumps(recorded["workers"][0]))
    (report,) = await registry.workers()
    await fleet.redis.flushall()
    return report


async def test_no_session_is_placed_on_a_worker_whose_protocol_does_not_fit(fleet: Fleet, report: WorkerReport) -> None:
    unfit = replace(report, version="9.9", protocol=NEWER)
    obstacle = Snapshot(1.0, None, [unfit], []).obstacle(fleet.service.settings)
    assert "version 9.9, which is incompatible with version" in (obstacle or "")
    await fleet.registry.beat(unfit)
    with pytest.raises(ModelUnavailableError, match=r"version 9\.9, which is incompatible with version") as refused:
        await fleet.gateway.open(SessionOptions())
    assert cast("float", refused.value.retry_after_s) > 0
    with pytest.raises(ModelUnavailableError, match=r"9\.9"):
        await fleet.gateway.models()
    assert await fleet.redis.llen("stream:echo") == 0


async def test_worker_claims_only_sessions_that_it_can_read(fleet: Fleet) -> None:
    redis = fleet.redis
    await admitted(redis)
    scripts = Scripts(redis)

    async def claimed(protocol: Protocol) -> Any:
        return await moves.claim(scripts, "s1", "echo", "w1", protocol=protocol)

    assert await claimed(NEWER) == UNREADABLE
    assert await redis.hget(keys.session("s1"), "state") == b"waiting"
    assert isinstance(await claimed(Protocol(OWN.number + 1, OWN.number)), list)
    assert await redis.hmget(keys.session("s1"), "protocol", "protocol_oldest") == [
        str(OWN.number + 1).encode(),
        str(OWN.number).encode(),
    ]
    await redis.hset(keys.session("s1"), "lease", 0)
    if OWN.number > 1:
        assert await claimed(UNNUMBERED) == UNREADABLE


async def test_session_of_a_protocol_that_does_not_fit_is_not_resumed(fleet: Fleet, recorded: Recorded) -> None:
    await restore(fleet.redis, recorded)
    sid = recorded["session_id"]
    await fleet.redis.hset(keys.session(sid), mapping={"protocol": NEWER.number, "protocol_oldest": NEWER.oldest})
    with pytest.raises(ModelUnavailableError, match="is incompatible with version"):
        await fleet.gateway.resume(sid, recorded["resume_token"], 0)


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        (Protocol(2, 1), Protocol(1, 1), True),
        (Protocol(2, 1), Protocol(2, 1), True),
        (Protocol(2, 1), Protocol(3, 2), True),
        (Protocol(2, 1), Protocol(4, 3), False),
        (Protocol(3, 2), Protocol(1, 1), False),
    ],
)
def test_protocols_fit_if_each_reads_the_other(one: Protocol, other: Protocol, fits: bool) -> None:
    assert (one.fits(other), other.fits(one)) == (fits, fits)


@pytest.mark.parametrize("newer", [False, True], ids=["as recorded", "with unknown fields"])
def test_events_and_committed_text_of_other_processes_are_read(recorded: Recorded, newer: bool) -> None:
    events = with_unknown(recorded["every_event"]) if newer else recorded["every_event"]
    known = [parse_event(event) for event in events if event["type"] != EventType.ERROR]
    assert len([event for event in known if event is not None]) >= len(events) - 2  # `committed` is for dialects
    committed = json.loads(recorded["committed"])
    encoded = json.dumps([*committed, "unknown"] if newer else committed).encode()
    assert Commitment.decoded(encoded, 1).text == "One two"
    assert [word.text for word in Commitment.decoded(encoded, 1).words] == ["One", "two"]


@pytest.mark.parametrize("newer", [False, True], ids=["as recorded", "with unknown fields"])
def test_states_of_channels_of_other_processes_are_read(recorded: Recorded, newer: bool) -> None:
    if "channel_states" not in recorded:
        return  # the protocol has no channels
    states = json.loads(recorded["channel_states"])
    if newer:
        next_segment, channels = states
        states = [next_segment, [[*channel, "unknown"] for channel in channels], "unknown"]
    read = ChannelStates.decoded(json.dumps(states).encode(), 2, checkpoint_samples=9000, segment=0)
    assert read.next_segment == 4
    assert [(one.checkpoint_samples, one.segment, one.numbers) for one in read.channels] == [
        (16000, 1, {1: 2}),
        (9000, 1, {1: 3}),
    ]
    assert [one.committed.text if one.committed else None for one in read.channels] == ["One two", None]
