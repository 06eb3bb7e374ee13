"""The state of the service at one moment, from the heartbeats in Redis: the content of `/ready` and `/status`."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from frontend.sessions.placement import misfit
from frontend.sessions.running_models import running_models, serving
from shared.bus import keys
from shared.bus.cluster import Cluster
from shared.bus.lua.sessions import Scripts
from shared.bus.primary import Primary
from shared.bus.registry import FrontendReport, Percentiles, Registry, SenderReport, StartReport, WorkerReport
from shared.bus.sharded import shards_of, tag_of
from shared.bus.totals import read_totals
from shared.config.settings import Settings
from shared.protocol import OWN
from shared.redis_address import shown_node
from shared.version import VERSION

REDIS_DEADLINE_S = 0.8
PROBE_LIFE_MS = 1000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The heartbeats at one moment."""

    redis_ms: float | None
    """How long Redis took to answer a PING; None if it did not answer."""
    refusal: str | None
    """Why Redis rejects writes: its memory or its disk is full. None if it accepts them."""
    workers: list[WorkerReport]
    frontends: list[FrontendReport]
    starting: list[StartReport] = field(default_factory=list)
    """Workers whose model is not warm yet."""
    senders: list[SenderReport] = field(default_factory=list)
    """The processes that send webhooks."""
    has_broker: bool = True
    """Whether the Redis of Celery's queues answers."""

    @property
    def slots(self) -> int:
        return sum(worker.slots for worker in self._serving)

    @property
    def slots_free(self) -> int:
        return sum(worker.slots_free for worker in self._serving)

    @property
    def _serving(self) -> list[WorkerReport]:
        return serving(self.workers)

    def obstacle(self, settings: Settings) -> str | None:
        """Why a session would not be accepted now, in one sentence; None if it would be."""
        if self.redis_ms is None:
            silence = f"Redis at {settings.redis_address} does not answer within {REDIS_DEADLINE_S:g} s."
            return _trouble(settings) or silence
        if self.refusal is not None:
            return f"Redis at {settings.redis_address} rejects writes: {self.refusal.rstrip('.')}."
        if not self.has_broker:
            return f"Redis at {settings.broker_at.shown} (the broker) does not answer within {REDIS_DEADLINE_S:g} s."
        if not self.workers:
            starts = "".join(f" One {start.doing}." for start in self.starting)
            return f"No worker is running with a warm model.{starts}"
        if not self.slots:
            unfit = [worker for worker in self.workers if not OWN.fits(worker.protocol)]
            return misfit(unfit) if unfit else "Every worker is draining and accepts no new sessions."
        return None if self.slots_free else self._full()

    def _full(self) -> str:
        if any(worker.overloaded for worker in self._serving):
            return "Every worker has all its slots in use, or rejects new sessions because of its load."
        return f"All {self.slots} slots are in use."


async def take_snapshot(redis: Redis, broker: Redis | None = None) -> Snapshot:
    """`broker` is the Redis of Celery's queues, if it is another one."""
    snapshot, has_broker = await asyncio.gather(_snapshot_of(redis), _answers(broker))
    return replace(snapshot, has_broker=has_broker)


async def take_totals(redis: Redis) -> dict[bytes, bytes] | None:
    """The totals in Redis; None if it does not answer."""
    try:
        async with asyncio.timeout(REDIS_DEADLINE_S):
            return await read_totals(redis)
    except (RedisError, OSError):
        return None


async def _snapshot_of(redis: Redis) -> Snapshot:
    registry = Registry(redis, Scripts(redis))
    try:
        async with asyncio.timeout(REDIS_DEADLINE_S):
            # The shard that all sessions share must answer. Others that do not are named by the trouble of the cluster.
            started_s = time.monotonic()
            await redis.ping()
            redis_ms = (time.monotonic() - started_s) * 1000
            refusal, workers, frontends, starting, senders = await asyncio.gather(
                *(_refusal(redis), registry.workers(), registry.frontends(), registry.starting(), registry.senders())
            )
    except (RedisError, OSError):
        return Snapshot(None, None, [], [])
    return Snapshot(redis_ms, refusal, workers, frontends, starting, senders)


async def _answers(broker: Redis | None) -> bool:
    if broker is None:
        return True
    try:
        async with asyncio.timeout(REDIS_DEADLINE_S):
            await broker.ping()
    except (RedisError, OSError):
        return False
    return True


async def _refusal(redis: Redis) -> str | None:
    found = await asyncio.gather(*map(_refusal_at, shards_of(redis)), return_exceptions=True)
    return next((one for one in found if isinstance(one, str)), None)


async def _refusal_at(shard: Redis) -> str | None:
    try:
        await shard.set(keys.write_probe(tag_of(shard)), 1, px=PROBE_LIFE_MS)
    except ResponseError as error:
        return str(error)
    return None


def summary(snapshot: Snapshot, settings: Settings) -> dict[str, Any]:
    """The figures of the whole service. For several workers, each percentile of latency is the worst of them."""
    workers, frontends = snapshot.workers, snapshot.frontends
    obstacle = snapshot.obstacle(settings)
    delays = [*(one.event_loop_delay_ms for one in workers), *(one.event_loop_delay_ms for one in frontends)]
    return {
        "status": "not_ready" if obstacle else "ready",
        "reason": obstacle,
        "version": VERSION,
        "slots": snapshot.slots,
        "slots_free": snapshot.slots_free,
        "waiting": sum(frontend.waiting for frontend in frontends),
        "orphaned": sum(frontend.orphaned for frontend in frontends),
        "connections": sum(frontend.connections for frontend in frontends),
        "viewers": sum(frontend.viewers for frontend in frontends),
        "lag_ms": max((worker.lag_ms for worker in workers), default=0.0),
        "event_loop_delay_ms": max(delays, default=0.0),
        "latency_ms": {
            stage: asdict(_worst(worker.latency[stage] for worker in workers if stage in worker.latency))
            for stage in sorted({stage for worker in workers for stage in worker.latency})
        },
        "errors": _errors(frontends),
        "starting": [asdict(start) for start in snapshot.starting],
    }


def full_status(snapshot: Snapshot, settings: Settings) -> dict[str, Any]:
    """The response of `/status`."""
    return {
        **summary(snapshot, settings),
        "sessions": sum(worker.sessions for worker in snapshot.workers),
        "protocol": OWN.number,
        "redis": {
            "address": settings.redis_address,
            "embedded": settings.redis_is_embedded,
            **_topology(settings),
            "broker": None if settings.redis.broker_url is None else settings.broker_at.shown,
            "answer_ms": None if snapshot.redis_ms is None else round(snapshot.redis_ms, 2),
        },
        "models": [model.to_wire() for model in running_models(snapshot.workers)],
        "devices": sorted({worker.device for worker in snapshot.workers}),
        "workers": [asdict(worker) for worker in snapshot.workers],
        "frontends": [asdict(frontend) for frontend in snapshot.frontends],
        "webhooks": {
            "enabled": settings.webhooks.enabled,
            "sessions": max((sender.sessions for sender in snapshot.senders), default=None),
            "pending": max((sender.pending for sender in snapshot.senders), default=None),
            "senders": [asdict(sender) for sender in snapshot.senders],
        },
        "settings": settings.public(),
    }


def _topology(settings: Settings) -> dict[str, Any]:
    """How many servers Redis is, which of them are used, and what is wrong with the Sentinels or the cluster."""
    address = settings.redis_at
    if address.is_cluster:
        cluster = Cluster.of(address)
        shards = [None if shard.node is None else shown_node(shard.node) for shard in cluster.shards]
        return {"topology": "cluster", "primary": None, "shards": shards, "trouble": cluster.trouble}
    if not address.is_sentinel:
        return {"topology": "server", "primary": None, "trouble": None}
    primary = Primary.of(address)
    known = None if primary.known is None else shown_node(primary.known)
    return {"topology": "sentinel", "primary": known, "trouble": primary.trouble}


def _trouble(settings: Settings) -> str | None:
    """Why the Sentinels name no primary, or the cluster has none for some slots, in one sentence; None if nothing is
    wrong, or with one server."""
    address = settings.redis_at
    if address.is_cluster:
        return Cluster.of(address).trouble
    return Primary.of(address).trouble if address.is_sentinel else None


def _worst(parts: Iterable[Percentiles]) -> Percentiles:
    known = list(parts)
    return Percentiles(*(max(getattr(part, name) for part in known) for name in ("p50", "p95", "p99")))


def _errors(frontends: list[FrontendReport]) -> dict[str, Any]:
    """Errors that clients received, by code, since each process started, and their number per session."""
    by_code: Counter[str] = Counter()
    for frontend in frontends:
        by_code.update(frontend.errors)
    sessions = sum(frontend.sessions_total for frontend in frontends)
    return {
        "by_code": dict(sorted(by_code.items())),
        "sessions_total": sessions,
        "per_session": round(by_code.total() / sessions, 4) if sessions else None,
    }
