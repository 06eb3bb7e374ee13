"""Connects the sessions of a worker with its second model. Runs on the worker's I/O loop."""

import asyncio
import threading
from collections.abc import Callable, Iterable

import structlog

from shared.config.settings import Settings
from shared.metrics.families import REVISIONS
from worker.second_pass.backlog import Backlog, Task
from worker.second_pass.revisions import Revisions
from worker.second_pass.second_pass import Answer, Model, SecondPass
from worker.session import WorkerSession
from worker.telemetry import Telemetry

log = structlog.get_logger()


class Revising:
    """Does nothing if there is no second model. `held` finds a session by its handle, `mark` has its events written."""

    def __init__(
        self,
        model: Model | None,
        settings: Settings,
        *,
        loop: asyncio.AbstractEventLoop,
        telemetry: Telemetry,
        held: Callable[[str], WorkerSession | None],
        mark: Callable[[WorkerSession], None],
    ) -> None:
        self._backlog = Backlog(settings.model.second_backlog_s)
        self.idle = None if model is None else threading.Event()
        """To be set while the engine has no work."""
        self.second_pass: SecondPass | None = None
        if model is not None and self.idle is not None:
            self.second_pass = SecondPass(model, self._backlog, self.idle, self._on_answer)
        self._limits = settings.session
        self._loop = loop
        self._telemetry = telemetry
        self._held = held
        self._mark = mark
        self._timed: set[WorkerSession] = set()
        """The sessions that only wait for the second model, each with a timer."""

    def start(self) -> None:
        if self.second_pass is not None:
            self.second_pass.start()

    def stop(self) -> None:
        """Begin no further task. Does not wait for the current one."""
        if self.second_pass is not None:
            self.second_pass.stop()

    def revisions(self) -> Revisions | None:
        """Those of a session that this worker has claimed. Those of a former owner are lost with its audio."""
        if self.second_pass is None:
            return None
        return Revisions(by_default=self._limits.revise, modes=self.second_pass.modes)

    def collect(self, sessions: Iterable[WorkerSession]) -> None:
        """Pass on the new finals of sessions whose outputs were taken."""
        if self.second_pass is None:
            return
        for session in sessions:
            assert session.revisions is not None, "each session of this worker has them"
            for task in session.revisions.take_tasks():
                for dropped in self._backlog.put(task):
                    self._drop(dropped)
            if session.revisions.are_awaited and session not in self._timed:
                self._timed.add(session)
                self._loop.call_later(self._limits.revise_timeout_s, self.stop_awaiting, session)

    def stop_awaiting(self, *sessions: WorkerSession) -> None:
        """End those that only wait for the second model: their finals keep the texts that they have now."""
        for session in sessions:
            is_held = self._held(session.handles[0]) is session
            if is_held and session.revisions is not None and session.revisions.are_awaited:
                for index in session.revisions.pending_indices:
                    session.revise(index, None)
                self._mark(session)

    def forget(self, session: WorkerSession) -> None:
        """The session has ended, or another worker owns it."""
        self._timed.discard(session)
        for handle in session.handles if self.second_pass is not None else ():
            self._backlog.forget(handle)

    def _on_answer(self, task: Task, answer: Answer | None) -> None:
        """Called on the thread of the second model."""
        self._loop.call_soon_threadsafe(self._take, task, answer)

    def _take(self, task: Task, answer: Answer | None) -> None:
        if answer is None:
            self._drop(task)
            return
        session = self._held(task.handle)
        if session is not None:
            self._count("revised" if session.revise(task.index, answer) else "unchanged")
            self._mark(session)

    def _drop(self, task: Task) -> None:
        """The final keeps its text."""
        self._count("dropped")
        session = self._held(task.handle)
        if session is not None:
            log.debug("revision_dropped", session_id=session.session_id, pending=len(self._backlog))
            session.revise(task.index, None)
            self._mark(session)

    def _count(self, outcome: str) -> None:
        assert self.second_pass is not None, "it has the tasks"
        self._telemetry.metrics.counter(REVISIONS, self.second_pass.name, outcome).add()
