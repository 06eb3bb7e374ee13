"""Reports the progress of a worker's start: to the log every 10 s, and to Redis every second, for `/ready`.

Runs on its own thread, since the main one loads the model. Redis need not be available yet.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable
from types import TracebackType
from typing import Final, Self

import structlog
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.connect import connect
from shared.bus.lua.sessions import Scripts
from shared.bus.registry import Registry, StartReport, process_id
from shared.config.settings import Settings
from worker.progress import Phase, Progress, Starting

LOG_INTERVAL_S: Final = 10.0
REDIS_TIMEOUT_S: Final = 1.0
LEAVE_TIMEOUT_S: Final = 2.0

log = structlog.get_logger()


class StartReporter:
    """Use it as `with StartReporter(settings, STARTING): …` around the start."""

    def __init__(self, settings: Settings, starting: Starting) -> None:
        self._settings = settings
        self._starting = starting
        self._id = process_id()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="start-report", daemon=True)
        self._phase: Phase | None = None
        self._log_at_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(LEAVE_TIMEOUT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._report())
        except Exception as error:  # noqa: BLE001 -- a failed report must not end the worker
            log.warning("start_not_reported", reason=str(error) or type(error).__name__)

    async def _report(self) -> None:
        redis = connect(self._settings, reply_timeout_s=REDIS_TIMEOUT_S)
        registry = Registry(redis, Scripts(redis))
        report = StartReport(self._id, "", "", "")
        try:
            while not self._ended.is_set():
                progress = self._starting.progress
                if progress is not None:
                    self._log(progress)
                    report = StartReport(self._id, progress.model, progress.phase, str(progress))
                    await _tried(registry.beat_start(report))
                await asyncio.to_thread(self._ended.wait, keys.HEARTBEAT_INTERVAL_S)
            await _tried(registry.end_start(report))
        finally:
            await redis.aclose()

    def _log(self, progress: Progress) -> None:
        now_s = time.monotonic()
        if progress.phase == self._phase and now_s < self._log_at_s:
            return
        self._phase, self._log_at_s = progress.phase, now_s + LOG_INTERVAL_S
        log.info("start_progress", phase=progress.phase, message=f"The worker {progress}.")


async def _tried(call: Awaitable[None]) -> None:
    try:
        await call
    except (RedisError, OSError):
        return
