"""Makes events of an engine's outputs, and measures them. Belongs to the I/O loop."""

import time
from collections.abc import Callable

import structlog

from shared.events import seconds
from worker.engines.base import HeardAgain, Output
from worker.session import WorkerSession
from worker.speakers.outputs import Released
from worker.telemetry import Telemetry
from worker.tracing import WorkerTraces

log = structlog.get_logger()


class Publisher:
    """`mark` has a session written."""

    def __init__(self, telemetry: Telemetry, traces: WorkerTraces, mark: Callable[[WorkerSession], None]) -> None:
        self._telemetry = telemetry
        self._traces = traces
        self._mark = mark

    def publish(
        self,
        session: WorkerSession,
        output: Output,
        handle: str,
        *,
        started_ms: float,
        step_ms: float,
        released: Released | None = None,
    ) -> None:
        """Take an output of a handle in its turn. `released` has its speakers, if the session is diarized."""
        if isinstance(output, HeardAgain):
            self._note_heard_again(session, output)
            return
        now_ms = time.time() * 1000
        latency = session.take(output, started_ms, now_ms, handle, released)
        self._traces.text(session, output, started_ms / 1000, step_ms)
        if latency is not None and not session.options.recording:
            self._telemetry.observe_latency(latency, time.monotonic())
            self._telemetry.observe_text(session, output, now_ms)
        self._mark(session)

    def _note_heard_again(self, session: WorkerSession, heard: HeardAgain) -> None:
        self._telemetry.heard_again_total += 1
        where = {"from_s": seconds(heard.start_samples), "until_s": seconds(heard.end_samples)}
        log.warning("speech_heard_again", session_id=session.session_id, **where)
