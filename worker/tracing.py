"""The spans of a worker: how long it served a session, and for each final the wait, the engine's step and the write."""

import time
from dataclasses import dataclass

from shared.events import seconds
from shared.tracing import ROOT, Traces
from worker.engines.base import Final, Output
from worker.session import WorkerSession


@dataclass(frozen=True, slots=True)
class _Text:
    """A final that Redis has not confirmed. Unix times."""

    segment: int
    audio_s: float
    arrived_s: float
    """When its last audio reached the frontend, or the start of the step if that is not known."""
    step_started_s: float
    step_ended_s: float
    emitted_s: float


class WorkerTraces:
    """Called by the I/O loop. Sessions are known by their handles. Does nothing if `traces` is None."""

    def __init__(self, traces: Traces | None, worker_id: str) -> None:
        self._traces = traces
        self._worker_id = worker_id
        self._began_s: dict[str, float] = {}
        self._texts: dict[str, list[_Text]] = {}

    def began(self, session: WorkerSession) -> None:
        """The worker has claimed the session."""
        if self._traces is not None:
            self._began_s[session.handle] = time.time()

    def text(self, session: WorkerSession, output: Output, started_s: float, step_ms: float) -> None:
        """An output has become an event. Its step started at `started_s` and took `step_ms`."""
        if self._traces is None or not isinstance(output, Final):
            return
        arrived_ms = session.arrived_ms(output.heard_samples)
        self._texts.setdefault(session.handle, []).append(
            _Text(
                segment=output.segment,
                audio_s=seconds(output.end_samples - output.start_samples),
                arrived_s=started_s if arrived_ms is None else min(started_s, arrived_ms / 1000),
                step_started_s=started_s,
                step_ended_s=started_s + step_ms / 1000,
                emitted_s=time.time(),
            )
        )

    def written(self, session: WorkerSession, finals: int) -> None:
        """Redis has this many of the oldest finals."""
        if self._traces is None:
            return
        texts, written_s = self._texts.get(session.handle, []), time.time()
        for text in texts[:finals]:
            self._record(self._traces, session, text, written_s)
        del texts[:finals]

    def ended(self, session: WorkerSession) -> None:
        """The worker no longer serves the session."""
        began_s = self._began_s.pop(session.handle, None)
        self._texts.pop(session.handle, None)
        if self._traces is not None and began_s is not None:
            summary = session.summary()
            self._traces.record(
                session.session_id,
                "serve",
                began_s,
                time.time(),
                {
                    "voxtral.worker": self._worker_id,
                    "voxtral.model": session.claim.owner.model,
                    "voxtral.mode": session.options.mode.value,
                    "voxtral.outcome": summary["outcome"],
                    "voxtral.audio_s": summary["audio_s"],
                },
                unique=session.handle,
                parent=ROOT,
                error=next(iter(summary["errors"]), ""),
            )

    def close(self) -> None:
        """Export what is left; blocks."""
        if self._traces is not None:
            self._traces.close()

    @staticmethod
    def _record(traces: Traces, session: WorkerSession, text: _Text, written_s: float) -> None:
        session_id, unique = session.session_id, f"{session.handle} {text.segment}"
        about = {"voxtral.segment": text.segment, "voxtral.audio_s": text.audio_s}
        traces.record(session_id, "final", text.arrived_s, written_s, about, unique=unique, parent=session.handle)
        traces.record(session_id, "queue", text.arrived_s, text.step_started_s, parent=unique)
        traces.record(session_id, "engine step", text.step_started_s, text.step_ended_s, parent=unique)
        traces.record(session_id, "redis write", text.emitted_s, written_s, parent=unique)
