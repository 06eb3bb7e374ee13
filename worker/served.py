"""Reports the sessions of this worker to operators once a second, with what only the worker knows of them."""

import asyncio
import time
from collections.abc import Mapping

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.operation import ServedSession, write_served
from shared.events import seconds
from worker.heartbeat import lag_ms
from worker.session import WorkerSession

log = structlog.get_logger()


class ServedReports:
    def __init__(self, redis: Redis, worker_id: str, sessions: Mapping[str, WorkerSession]) -> None:
        self._redis = redis
        self._worker_id = worker_id
        self._sessions = sessions

    async def run(self) -> None:
        """The loop; runs until cancelled. It waits while Redis is unavailable."""
        while True:
            try:
                now_ms = time.time() * 1000
                served = [served_session(session, now_ms) for session in self._sessions.values()]
                await write_served(self._redis, self._worker_id, served)
            except (RedisError, OSError) as error:
                log.warning("sessions_report_delayed", reason=str(error))
            await asyncio.sleep(keys.HEARTBEAT_INTERVAL_S)


def served_session(session: WorkerSession, now_ms: float) -> ServedSession:
    """`now_ms` is wall clock."""
    return ServedSession(
        id=session.session_id,
        language=session.language,
        lag_ms=lag_ms([session], now_ms),
        audio_s=seconds(session.read_samples),
        is_recording=session.options.recording,
        is_detached=session.is_detached,
    )
