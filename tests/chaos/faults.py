"""Faults that are injected into a running cluster.

A fault returns when the cluster is complete again: killed processes have been restarted, as a supervisor does.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from redis.asyncio import Redis

from shared.bus import keys
from shared.bus.connect import connect
from shared.celery_config import SESSION_TASK, celery_app, queue_name
from tests.chaos.cluster import Cluster
from tests.chaos.speakers import Speaker
from tests.clusters import RedisShards
from tests.sentinels import RedisGroup
from tests.wire import Wire


@dataclass(frozen=True)
class Scene:
    """The targets of a fault."""

    cluster: Cluster
    wires: Sequence[Wire]
    speakers: Sequence[Speaker]
    random: random.Random

    def live_sessions(self) -> list[str]:
        return [speaker.session_id for speaker in self.speakers if speaker.session_id and speaker.text is None]


Fault = Callable[[Scene], Awaitable[None]]


async def kill_worker(scene: Scene) -> None:
    scene.cluster.kill(await busy_worker(scene))
    scene.cluster.start_worker()
    await scene.cluster.until_warm()


async def hang_worker(scene: Scene) -> None:
    """Long enough for its sessions to be taken over; then it wakes and acts as if it still owned them."""
    label = await busy_worker(scene)
    scene.cluster.hang(label)
    await asyncio.sleep(scene.random.uniform(4, 6))
    scene.cluster.resume(label)
    await scene.cluster.until_warm()


async def stop_worker(scene: Scene) -> None:
    scene.cluster.start_worker()
    await scene.cluster.until_warm(len(scene.cluster.workers))
    status = await scene.cluster.drain(await busy_worker(scene))
    assert status == 0, f"a worker that was asked to stop ended with {status}"


async def kill_frontend(scene: Scene) -> None:
    label = scene.random.choice(sorted(scene.cluster.frontend_ports))
    scene.cluster.kill(label)
    await asyncio.sleep(scene.random.uniform(0, 1))
    scene.cluster.start_frontend(label)


async def restart_redis(scene: Scene) -> None:
    scene.cluster.kill("redis")
    await asyncio.sleep(scene.random.uniform(0, 1))
    await asyncio.to_thread(scene.cluster.start_redis)


async def hang_redis(scene: Scene) -> None:
    scene.cluster.hang("redis")
    await asyncio.sleep(scene.random.uniform(2, 5))
    scene.cluster.resume("redis")


async def kill_primary(scene: Scene) -> None:
    """A replica becomes the primary; the killed server returns as a replica."""
    group = _group(scene)
    await _replace_primary(scene, group.kill, group.start_server)


async def hang_primary(scene: Scene) -> None:
    """It wakes as a primary that was replaced."""
    group = _group(scene)
    await _replace_primary(scene, group.hang, group.resume)


async def kill_shard(scene: Scene) -> None:
    """The primary of a shard dies, and its replica takes over; the killed server returns as a replica."""
    shards = _shards(scene)
    await _replace_in_shard(scene, shards.kill, shards.start_server)


async def hang_shard(scene: Scene) -> None:
    """It wakes as a primary that was replaced."""
    shards = _shards(scene)
    await _replace_in_shard(scene, shards.hang, shards.resume)


async def kill_home(scene: Scene) -> None:
    """The same with the shard that all sessions share."""
    shards = _shards(scene)
    await _replace_in_shard(scene, shards.kill, shards.start_server, shards.primary_of(keys.WORKERS))


async def move_slot(scene: Scene) -> None:
    """The hash slot of a session moves to another shard."""
    if sessions := scene.live_sessions():
        name = keys.session(scene.random.choice(sessions))
        await asyncio.to_thread(_shards(scene).move_slot_of, name)


async def _replace_in_shard(
    scene: Scene, stop: Callable[[int], None], bring_back: Callable[[int], None], former: int | None = None
) -> None:
    shards = _shards(scene)
    await _replace(scene, shards, former or scene.random.choice(shards.primaries), stop, bring_back)


async def _replace_primary(scene: Scene, stop: Callable[[int], None], bring_back: Callable[[int], None]) -> None:
    group = _group(scene)
    await _replace(scene, group, group.primary, stop, bring_back)


async def _replace(
    scene: Scene,
    servers: RedisGroup | RedisShards,
    former: int,
    stop: Callable[[int], None],
    bring_back: Callable[[int], None],
) -> None:
    stop(former)
    await asyncio.to_thread(servers.await_failover, former)
    await asyncio.sleep(scene.random.uniform(0, 1))
    await asyncio.to_thread(bring_back, former)
    await asyncio.to_thread(servers.await_replicas)


async def kill_sentinel(scene: Scene) -> None:
    """The primary dies as well: the other two Sentinels suffice."""
    group = _group(scene)
    killed = scene.random.choice(group.sentinels)
    group.kill(killed)
    await kill_primary(scene)
    await asyncio.to_thread(group.start_sentinel, killed)


async def cut_connections(scene: Scene) -> None:
    for _ in range(scene.random.randint(1, 3)):
        for wire in scene.wires:
            wire.cut()
        await asyncio.sleep(scene.random.uniform(0.1, 1))


async def deliver_tasks_twice(scene: Scene) -> None:
    """Repeat the tasks of live sessions, at once and late: another worker may take them."""
    redis = connect(scene.cluster.stack.settings)
    app = celery_app(scene.cluster.stack.settings)
    try:
        for _ in range(2):
            for session_id in scene.live_sessions():
                await _deliver(app, redis, session_id)
            await asyncio.sleep(scene.random.uniform(0.5, 2))
    finally:
        app.close()
        await redis.aclose()


async def step_clocks(scene: Scene) -> None:
    """The wall clock of a worker and that of a frontend are wrong from now on, by seconds or by an hour."""
    for label in (await busy_worker(scene), scene.random.choice(sorted(scene.cluster.frontend_ports))):
        scene.cluster.clocks.step(label, scene.random.choice((-1, 1)) * scene.random.choice((7, 60, 3600)))


OF_ONE_REDIS: Final = ("restart redis", "hang redis")
OF_SENTINELS: Final = ("kill primary", "hang primary", "kill sentinel and primary")
OF_CLUSTER: Final = ("kill shard", "hang shard", "kill home", "move slot")
FAULTS: Final[dict[str, Fault]] = {
    "kill worker": kill_worker,
    "hang worker": hang_worker,
    "stop worker": stop_worker,
    "kill frontend": kill_frontend,
    "restart redis": restart_redis,
    "hang redis": hang_redis,
    "kill primary": kill_primary,
    "hang primary": hang_primary,
    "kill sentinel and primary": kill_sentinel,
    "kill shard": kill_shard,
    "hang shard": hang_shard,
    "kill home": kill_home,
    "move slot": move_slot,
    "cut connections": cut_connections,
    "deliver tasks twice": deliver_tasks_twice,
    "step clocks": step_clocks,
}


def faults_of(cluster: Cluster) -> list[str]:
    """The names of the faults that its Redis can have."""
    own = OF_SENTINELS if cluster.group is not None else OF_CLUSTER if cluster.shards is not None else OF_ONE_REDIS
    return sorted(set(FAULTS).difference(OF_ONE_REDIS, OF_SENTINELS, OF_CLUSTER) | set(own))


def _shards(scene: Scene) -> RedisShards:
    assert scene.cluster.shards is not None
    return scene.cluster.shards


def _group(scene: Scene) -> RedisGroup:
    assert scene.cluster.group is not None
    return scene.cluster.group


async def busy_worker(scene: Scene) -> str:
    """The label of a worker that owns one of the live sessions."""
    redis = connect(scene.cluster.stack.settings)
    try:
        owners = [await redis.hget(keys.session(one), "owner") for one in scene.live_sessions()]
    finally:
        await redis.aclose()
    pids = {int(owner.decode().split("-")[-2]) for owner in owners if owner}
    busy = [label for label in scene.cluster.workers if scene.cluster.stack.processes[label].pid in pids]
    return scene.random.choice(busy or scene.cluster.workers)


async def _deliver(app: object, redis: Redis, session_id: str) -> None:
    encoded = await redis.hget(keys.session(session_id), "options")
    if encoded is not None:
        options = orjson.loads(encoded)
        await asyncio.to_thread(
            app.send_task,  # type: ignore[attr-defined]
            SESSION_TASK,
            args=(session_id,),
            kwargs={"options": options},
            task_id=session_id,
            queue=queue_name("stream", options["model"]),
            ignore_result=True,
        )
