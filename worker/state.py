"""What the parts of one worker share: its settings, its sessions, and what is measured of them."""

import asyncio
from dataclasses import dataclass, field
from typing import Self

import uvloop

from shared.bus.registry import process_id
from shared.config.settings import Settings
from shared.tracing import Traces
from worker.engines.base import EngineInfo
from worker.handles import session_id_of
from worker.session import WorkerSession
from worker.telemetry import Telemetry
from worker.tracing import WorkerTraces


@dataclass(frozen=True, slots=True)
class WorkerState:
    worker_id: str
    settings: Settings
    info: EngineInfo
    """What the engine is and can do."""
    loop: asyncio.AbstractEventLoop
    """The I/O loop."""
    telemetry: Telemetry
    traces: WorkerTraces
    sessions: dict[str, WorkerSession] = field(default_factory=dict)
    """Those that this worker owns, by id."""

    @classmethod
    def of(cls, settings: Settings, info: EngineInfo) -> Self:
        """That of a worker which starts now."""
        worker_id = process_id()
        return cls(
            worker_id,
            settings,
            info,
            loop=uvloop.new_event_loop(),
            telemetry=Telemetry(info.frame_ms, info.model),
            traces=WorkerTraces(Traces.of(settings.tracing, "worker"), worker_id),
        )

    @property
    def free_slots(self) -> int:
        """Slots that none of the sessions has."""
        return self.info.slots - sum(session.slots for session in self.sessions.values())

    def held(self, handle: str) -> WorkerSession | None:
        """The session of a handle of the engine; None if it has left this worker."""
        session = self.sessions.get(session_id_of(handle))
        return session if session is not None and handle in session.handles else None
