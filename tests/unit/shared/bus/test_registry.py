"""What processes report and read of each other, on a Redis in memory."""

from collections import defaultdict
from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest

from shared.bus import keys
from shared.bus.lua.sessions import Scripts
from shared.bus.messages import WorkerMessage
from shared.bus.ownership import NewSession
from shared.bus.registry import Percentiles, Registry, StartReport
from shared.protocol import OWN
from tests.unit.redis_in_memory import answered, script_named
from tests.unit.reports import report

WORKER = report(
    "echo",
    1,
    id="w1",
    slots=4,
    step=Percentiles(1.0, 2.0, 3.0),
    latency={"total": Percentiles(4.0, 5.0, 6.0)},
    protocol=OWN,
)


class Server:
    """Redis as far as a registry uses it: heartbeats are held, other commands are recorded."""

    def __init__(self) -> None:
        self.reports: dict[str, str] = {}
        self.members: defaultdict[str, list[str]] = defaultdict(list)
        self.commands: list[tuple[str, ...]] = []
        self.reserved: Any = 1
        redis = answered(self)
        self.registry = Registry(redis, Scripts(redis))

    def __call__(self, command: str, *words: str) -> Any:
        self.commands.append((command, *words))
        match command:
            case "EVALSHA" if script_named(words[0]) == "beat":
                arguments = words[2 + int(words[1]) :]
                self.members[words[2]].append(arguments[0])
                self.reports[words[3]] = arguments[2]
            case "EVALSHA" if script_named(words[0]) == "reserve":
                return self.reserved
            case "ZRANGE":
                return [member.encode() for member in self.members[words[0]]]
            case "HGET" if words[1] == "owner":
                return b"w1"
            case "HGET":
                found = self.reports.get(words[0])
                return None if found is None else found.encode()
            case "ZREM":
                self.members[words[0]] = [member for member in self.members[words[0]] if member != words[1]]
        return 1

    def hold(self, report: dict[str, Any]) -> None:
        """A heartbeat of another version."""
        self.members[keys.WORKERS].append(report["id"])
        self.reports[keys.heartbeat(keys.WORKERS, report["id"])] = orjson.dumps(report).decode()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize(("is_draining", "offered"), [(False, "3"), (True, "")])
async def test_worker_is_read_as_it_reports_itself(server: Server, is_draining: bool, offered: str) -> None:
    report = replace(WORKER, draining=is_draining)
    await server.registry.beat(report)
    ((*_, free, control, _, _, _, sent, _),) = server.commands  # one: it is never seen without its slots
    assert (free, control, sent) == (keys.free("echo"), keys.control("w1"), offered)
    assert await server.registry.workers() == [report]


async def test_worker_that_leaves_is_gone_with_its_slots_and_its_control_stream(server: Server) -> None:
    await server.registry.beat(WORKER)
    await server.registry.leave(WORKER)
    assert await server.registry.workers() == []
    assert ("ZREM", keys.free("echo"), "w1") in server.commands
    assert ("DEL", keys.control("w1")) in server.commands


async def test_report_of_another_version_is_read_as_far_as_it_is_known(server: Server) -> None:
    server.hold(asdict(WORKER) | {"future": 1})
    server.hold({"id": "w2", "version": "0"})
    assert await server.registry.workers() == [WORKER]


async def test_slot_is_taken_from_a_session_whose_client_is_gone(server: Server) -> None:
    wanted = NewSession(
        "s2", "echo", capacity=1, claim_timeout_s=1.0, options=b"{}", resume_digest="r", viewer_digest="v"
    )
    server.reserved = [b"s1"]
    assert await server.registry.admit(wanted)
    sent = [command for command in server.commands if command[1] == keys.control("w1")]
    assert [(name, *words[-2:]) for name, _, *words in sent] == [
        ("XADD", WorkerMessage.GIVE_WAY, "s1"),
        ("EXPIRE", str(keys.CONTROL_TTL_S)),
    ]
    assert "MAXLEN" in sent[0]
    server.reserved = 0
    assert not await server.registry.admit(replace(wanted, session_id="s3"))


async def test_worker_is_starting_until_its_model_is_warm(server: Server) -> None:
    start = StartReport("w1", "echo", "load", "loads the model")
    await server.registry.beat_start(start)
    assert await server.registry.starting() == [start]
    assert await server.registry.workers() == []
    await server.registry.end_start(start)
    assert await server.registry.starting() == []
