"""The check of a Redis Cluster: all hash slots are served, and a shard that fails over loses nothing."""

import asyncio
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from frontend.cli.checks.check import Check, broken, ok, warning
from shared.bus.cluster import Cluster
from shared.bus.connect import connect_to
from shared.bus.sharded import shards_of
from shared.redis_address import RedisAddress

PROBE_TIMEOUT_S = 3.0
MIN_REDIS_VERSION = 7


@dataclass(frozen=True, slots=True)
class _Primary:
    """The primary of one shard, as it reports itself."""

    name: str
    """Product and version."""
    major: int
    replicas: int
    settings: dict[str, str]
    """Empty if they may not be read."""


def check_cluster(address: RedisAddress, confirming: int) -> Check:
    """`confirming` is the number of replicas that the service waits for. Raises Redis' errors if no node answers."""
    primaries, silent = asyncio.run(_primaries(address))
    trouble = Cluster.of(address).trouble
    where = f"the cluster at {address.shown}"
    if trouble or silent or not primaries:
        reason = trouble or f"{silent} of {silent + len(primaries)} primaries do not answer."
        return broken("Redis", f"{where}: {reason.rstrip('.')}", "Check the nodes, and `CLUSTER NODES` on one of them.")
    if min(one.major for one in primaries) < MIN_REDIS_VERSION:
        old = min(primaries, key=lambda one: one.major).name
        return broken("Redis", f"{where} has {old}, which is too old", f"Use version {MIN_REDIS_VERSION} or newer.")
    replicas = min(one.replicas for one in primaries)
    detail = f"{primaries[0].name}, {where}: {len(primaries)} shards, each with {replicas} or more replicas"
    if replicas < confirming:
        advice = "Start more replicas, or lower redis.confirm_replicas."
        return warning("Redis", f"{detail}, but redis.confirm_replicas is {confirming}", advice)
    if any(one.settings.get("cluster-require-full-coverage") == "yes" for one in primaries):
        return warning(
            "Redis",
            f"{detail}; while one shard fails over, the others reject commands too",
            "Set cluster-require-full-coverage to no on each Redis server.",
        )
    if any(one.settings.get("min-replicas-to-write") == "0" for one in primaries):
        return warning(
            "Redis",
            f"{detail}; without replicas they would still accept writes, which a failover loses",
            "Set min-replicas-to-write to 1 and min-replicas-max-lag to 2 on each Redis server.",
        )
    return ok("Redis", detail)


async def _primaries(address: RedisAddress) -> tuple[list[_Primary], int]:
    """Those that answer, and how many do not."""
    await asyncio.to_thread(Cluster.of(address).locate)
    redis = connect_to(address, reply_timeout_s=PROBE_TIMEOUT_S)
    try:
        found = await asyncio.gather(*map(_primary, shards_of(redis)), return_exceptions=True)
    finally:
        await redis.aclose()
    answered = [one for one in found if isinstance(one, _Primary)]
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, RedisError | OSError):
            raise one
    return answered, len(found) - len(answered)


async def _primary(shard: Redis) -> _Primary:
    info: dict[str, Any] = {}
    for section in ("server", "replication"):
        info |= await shard.info(section)
    settings: dict[str, str] = {}
    try:
        for name in ("cluster-require-full-coverage", "min-replicas-to-write"):
            settings |= {name: str((await shard.config_get(name))[name])}
    except (ResponseError, KeyError):
        settings = {}
    product = "Valkey" if "valkey_version" in info else "Redis"
    return _Primary(
        name=f"{product} {info.get('valkey_version', info['redis_version'])}",
        major=int(str(info["redis_version"]).partition(".")[0]),
        replicas=int(info.get("connected_slaves", 0)),
        settings=settings,
    )
