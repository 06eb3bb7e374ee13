"""The content of the operators' page: sessions, workers, errors and latency, read from Redis at most once a second.

All operators of a health process share one reading.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from frontend.monitoring.status import REDIS_DEADLINE_S, Snapshot, summary, take_snapshot
from shared.bus.operation import Opening, ServedSession, read_openings, read_served, which_left
from shared.bus.registry import WorkerReport
from shared.config.settings import Settings

READING_LIFE_S: Final = 1.0
MAX_SESSIONS: Final = 500
"""The page shows the sessions with the largest lag if there are more."""
GONE_S: Final = 300.0
"""How long a worker stays on the page after its heartbeat has stopped without a drain."""
MAX_GONE: Final = 20
WORKER_FIELDS: Final = (
    *("id", "host", "model", "device", "slots", "draining", "overloaded", "load", "lag_ms", "rss_bytes"),
    *("gpu_memory_used_bytes", "gpu_memory_total_bytes", "started_at", "version"),
)


class OperatorView:
    def __init__(self, settings: Settings, redis: Redis, broker: Redis | None) -> None:
        """`broker` is the Redis of Celery's queues, if it is another one."""
        self._settings = settings
        self._redis = redis
        self._broker = broker
        self._lock = asyncio.Lock()
        self._read_at_s = float("-inf")
        self._reading: dict[str, Any] = {}
        self._openings: dict[str, Opening] = {}
        self._seen: dict[str, tuple[float, WorkerReport]] = {}
        """The last report of each worker, and when it was read (monotonic clock)."""

    async def read(self) -> dict[str, Any]:
        """The state, at most a second old."""
        async with self._lock:
            if time.monotonic() - self._read_at_s >= READING_LIFE_S:
                self._reading = await self._read()
                self._read_at_s = time.monotonic()
        return self._reading

    async def _read(self) -> dict[str, Any]:
        snapshot = await take_snapshot(self._redis, self._broker)
        served: dict[str, list[ServedSession]] = {}
        if snapshot.redis_ms is not None:
            try:
                async with asyncio.timeout(REDIS_DEADLINE_S):
                    served = await self._read_sessions(snapshot)
            except (RedisError, OSError):
                snapshot = Snapshot(None, None, [], [])
        workers = self._workers(snapshot)  # before the sessions, which need their models
        return {
            **summary(snapshot, self._settings),
            "redis_ms": snapshot.redis_ms,
            "sessions_total": sum(map(len, served.values())),
            "sessions": self._sessions(served),
            "workers": workers,
        }

    async def _read_sessions(self, snapshot: Snapshot) -> dict[str, list[ServedSession]]:
        """The sessions of each worker. Raises Redis' errors."""
        served = await read_served(self._redis, [worker.id for worker in snapshot.workers])
        for id_ in await which_left(self._redis, self._seen.keys() - served.keys()):
            del self._seen[id_]
        await self._learn(one.id for sessions in served.values() for one in sessions)
        return served

    async def _learn(self, session_ids: Iterable[str]) -> None:
        """Read how new sessions began, and forget those that have ended."""
        current = set(session_ids)
        new = await read_openings(self._redis, current - self._openings.keys())
        self._openings = {id_: one for id_, one in (self._openings | new).items() if id_ in current}

    def _sessions(self, served: dict[str, list[ServedSession]]) -> list[dict[str, Any]]:
        now_ms = time.time() * 1000
        models = {worker_id: report.model for worker_id, (_, report) in self._seen.items()}
        ordered = sorted(
            ((worker_id, one) for worker_id, sessions in served.items() for one in sessions),
            key=lambda pair: (-pair[1].lag_ms, pair[1].id),
        )
        return [
            {
                "id": one.id,
                "key": opening.key_name if opening else "",
                "age_s": round(max(0.0, now_ms - opening.created_ms) / 1000, 1) if opening else None,
                "model": models.get(worker_id),
                "worker": worker_id,
                "language": one.language,
                "lag_ms": one.lag_ms,
                "audio_s": round(one.audio_s, 1),
                "recording": one.is_recording,
                "detached": one.is_detached,
            }
            for worker_id, one in ordered[:MAX_SESSIONS]
            for opening in (self._openings.get(one.id),)
        ]

    def _workers(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Running workers, and those that have stopped without a drain. While Redis does not answer, those that were
        running before it."""
        now_s, is_known = time.monotonic(), snapshot.redis_ms is not None
        running = {worker.id: worker for worker in snapshot.workers}
        if is_known:
            gone = {
                id_: (at_s, report)
                for id_, (at_s, report) in self._seen.items()
                if id_ not in running and not report.draining and now_s - at_s < GONE_S
            }
            kept = dict(sorted(gone.items(), key=lambda item: -item[1][0])[:MAX_GONE])
            self._seen = {id_: (now_s, report) for id_, report in running.items()} | kept
        return [
            {
                **{name: getattr(report, name) for name in WORKER_FIELDS},
                "slots_used": report.slots_taken,
                "step_ms": {"p50": report.step.p50, "p99": report.step.p99},
                "gone_s": round(now_s - at_s, 1) if is_known and id_ not in running else None,
            }
            for id_, (at_s, report) in sorted(self._seen.items())
        ]
