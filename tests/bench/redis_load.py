"""Measures what sessions cost Redis, and a failover: `python -m tests.bench.redis_load`.

The cost is Redis' own CPU time, traffic and memory for each live stream, so a busy machine changes it little. The echo
engine writes a partial for each 80 ms chunk, which is more than any model does.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from redis import Redis

from frontend.process import FrontendProcess
from frontend.sessions.session import Session
from shared.bus import keys, moves, ownership
from shared.bus.connect import connect
from shared.bus.lua.sessions import Scripts
from shared.bus.messages import EventKind
from shared.bus.registry import Registry
from shared.session_options import SessionOptions
from tests.bench.figures import Figure, keep, machine, percentile, show
from tests.bench.pipeline import CHUNK, CHUNK_S, load
from tests.bench.processes import allow_open_files, running
from tests.clusters import redis_shards
from tests.integration.workers import redis_alone
from tests.sentinels import RedisGroup, redis_group
from tests.stack import COMMANDS, Stack

RESULT: Final = Path("build/bench-redis.json")
LOADS: Final = ((100, True), (400, True), (400, False))
"""Number of streams, and whether they have partials."""
IN_CLUSTER: Final = (100, 400)
COUNTERS: Final = (
    *("used_cpu_user", "used_cpu_sys", "total_commands_processed"),
    *("total_net_input_bytes", "total_net_output_bytes", "used_memory"),
)
SPEAKING: Final = 8
WRITES: Final = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of measured load")
    parser.add_argument("--failovers", type=int, default=5)
    arguments = parser.parse_args()
    allow_open_files()
    print(machine(), flush=True)
    figures: list[Figure] = []
    with running({"model": {"name": "echo", "slots": 512}}) as stack, Redis.from_url(stack.redis_url) as redis:
        for streams, partials in LOADS:
            figures += _shown(_cost(stack, [redis], "Redis", streams, arguments.seconds, partials=partials))
    for streams in IN_CLUSTER:
        figures += _shown(_cost_in_cluster(streams, arguments.seconds))
    with _group() as group:
        for replicas in (0, 1, 2):
            figures += _shown([asyncio.run(_confirmed(group, replicas))])
    figures += _shown(_failovers(arguments.failovers))
    keep(figures, RESULT)


def _shown(figures: list[Figure]) -> list[Figure]:
    for figure in figures:
        print(show(figure), flush=True)
    return figures


def _cost_in_cluster(streams: int, seconds: float) -> list[Figure]:
    """The same for the primaries of three shards together, each with a replica."""
    with tempfile.TemporaryDirectory() as folder:
        rooms = [Path(folder) / name for name in ("shards", "queues", "service")]
        for room in rooms:
            room.mkdir()
        with redis_shards(rooms[0]) as shards, redis_alone(rooms[1]) as queues:
            redis = {"url": shards.url, "broker_url": queues.redis_url}
            stack = Stack(rooms[2], model={"name": "echo", "slots": 512}, redis=redis)
            try:
                stack.start(*(name for name in COMMANDS if name != "redis"))
                primaries = [shards.client(port) for port in shards.primaries]
                return _cost(stack, primaries, "Redis Cluster", streams, seconds, partials=True)
            finally:
                stack.stop_all()


def _cost(
    stack: Stack, servers: list[Redis], what: str, streams: int, seconds: float, *, partials: bool
) -> list[Figure]:
    """What one stream costs, by the difference of the servers' counters while all streams speak."""

    def counted() -> Counter[str]:
        total: Counter[str] = Counter()
        for server in servers:
            info = server.info()
            total.update({name: info[name] for name in COUNTERS})
        return total

    idle = counted()
    taken: list[tuple[float, Counter[str]]] = []

    async def run() -> None:
        loading = asyncio.create_task(load(stack.ws_url, streams, seconds, partials=partials))
        await asyncio.sleep(streams / 100 + 3)  # by then all streams have started
        taken.append((time.monotonic(), counted()))
        await asyncio.sleep(seconds - 2)
        taken.append((time.monotonic(), counted()))
        await loading

    asyncio.run(run())
    (began_s, before), (ended_s, after) = taken
    streamed_s = (ended_s - began_s) * streams

    def grown(*names: str) -> float:
        return sum(float(after[name]) - float(before[name]) for name in names) / streamed_s

    name = f"{what}, {streams} streams {'with' if partials else 'without'} partials, for each"
    return [
        Figure(f"{name}: CPU", 1000 * grown("used_cpu_user", "used_cpu_sys"), "ms/s"),
        Figure(f"{name}: commands", grown("total_commands_processed"), "/s"),
        Figure(f"{name}: received", grown("total_net_input_bytes") / 1000, "kB/s"),
        Figure(f"{name}: sent", grown("total_net_output_bytes") / 1000, "kB/s"),
        Figure(f"{name}: memory", (after["used_memory"] - idle["used_memory"]) / streams / 1000, "kB"),
    ]


@contextmanager
def _group() -> Iterator[RedisGroup]:
    with tempfile.TemporaryDirectory() as folder, redis_group(Path(folder)) as group:
        yield group


async def _confirmed(group: RedisGroup, replicas: int) -> Figure:
    """The time of a write with a final, which so many replicas on the same machine confirm."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Stack(Path(folder), redis={"url": group.url}).settings
    redis = connect(settings)
    scripts = Scripts(redis, replicas)
    session_id, took_ms = f"wait-{replicas}", []
    try:
        await Registry(redis, scripts).admit(
            ownership.NewSession(
                session_id, "echo", capacity=9, claim_timeout_s=60, options=b"{}", resume_digest="", viewer_digest=""
            )
        )
        await moves.claim(scripts, session_id, "echo", "w")
        owner = ownership.Owner(session_id, "echo", "w", 1)
        for seq in range(1, WRITES + 1):
            started_s = time.perf_counter()
            call = ownership.write(owner, seq, [(EventKind.FINAL, b'{"text":"a final of some words"}')])
            assert await scripts.write.many([call], confirm=True) == [1]
            took_ms.append(1000 * (time.perf_counter() - started_s))
        await redis.delete(*keys.of_session(session_id))
    finally:
        await redis.aclose()
    return Figure(f"write of a final, {replicas} replicas confirm, p50", percentile(took_ms, 0.5), "ms")


def _failovers(count: int) -> list[Figure]:
    """Kill the primary while sessions speak; from then to the next event of each, and finals that the log lacks."""
    gaps_s: list[float] = []
    missing = 0
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder, _group() as group:
            stack = Stack(Path(folder), redis={"url": group.url, "confirm_replicas": 1})
            try:
                stack.spawn("worker")
                found, lacks = asyncio.run(_fail_over(stack, group))
                gaps_s += found
                missing += lacks
            finally:
                stack.stop_all()
    return [
        Figure("failover: time to the next event, p50", percentile(gaps_s, 0.5), "s"),
        Figure("failover: time to the next event, longest", max(gaps_s), "s"),
        Figure("failover: events that the log lacks", missing, "", 0),
    ]


async def _fail_over(stack: Stack, group: RedisGroup) -> tuple[list[float], int]:
    async with FrontendProcess.running(stack.settings, "bench") as frontend:
        while not await frontend.registry.workers():  # noqa: ASYNC110 -- another process's condition
            await asyncio.sleep(0.05)
        sessions = [await frontend.gateway.open(SessionOptions()) for _ in range(SPEAKING)]
        stopped = asyncio.Event()
        speaking = [asyncio.create_task(_speak(session, stopped)) for session in sessions]
        heard = [asyncio.create_task(_heard(session)) for session in sessions]
        await asyncio.sleep(2)
        killed_s, former = time.monotonic(), group.primary
        await asyncio.to_thread(group.kill, former)
        await asyncio.to_thread(group.await_failover, former)
        await asyncio.sleep(3)
        stopped.set()
        await asyncio.gather(*speaking)
        told = await asyncio.gather(*heard)
        redis = connect(stack.settings)
        try:
            logged = [await redis.xlen(keys.events(session.id)) for session in sessions]
        finally:
            await redis.aclose()
    gaps_s = [next(at_s - killed_s for at_s in times if at_s > killed_s) for times, _ in told]
    return gaps_s, sum(last_seq - length for (_, last_seq), length in zip(told, logged, strict=True))


async def _speak(session: Session, stopped: asyncio.Event) -> None:
    while not stopped.is_set():
        await session.write(CHUNK)
        await asyncio.sleep(CHUNK_S)
    await session.finish()


async def _heard(session: Session) -> tuple[list[float], int]:
    """When events arrived, warnings apart, and the `seq` of the last one."""
    times_s, last_seq = [], 0
    async for event in session.events():
        if event.wire["type"] != "warning":
            times_s.append(time.monotonic())
            last_seq = event.wire["seq"]
    return times_s, last_seq


if __name__ == "__main__":
    main()
