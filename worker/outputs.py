"""What becomes of the outputs of the engine: their speakers are named, they are published, and finals are revised.

Belongs to the I/O loop.
"""

import time
from collections.abc import Callable

from redis.asyncio import Redis

from worker.engine_thread import Command, StepReport
from worker.publishing import Publisher
from worker.second_pass.revising import Revising
from worker.second_pass.second_pass import Model as SecondModel
from worker.session import WorkerSession
from worker.speakers.sessions import DiarizedSessions
from worker.state import WorkerState


class Outputs:
    def __init__(
        self,
        state: WorkerState,
        redis: Redis,
        second: SecondModel | None,
        *,
        mark: Callable[[WorkerSession], None],
        wake_reader: Callable[[], None],
    ) -> None:
        """`second` decodes finals again. `mark` has the events of a session written, `wake_reader` restarts the read
        of audio."""
        self._state = state
        self._mark = mark
        self._wake_reader = wake_reader
        self.revising = Revising(
            second, state.settings, loop=state.loop, telemetry=state.telemetry, held=state.held, mark=mark
        )
        self._publisher = Publisher(state.telemetry, state.traces, mark)
        self.diarized = DiarizedSessions(
            state.settings.speakers,
            redis,
            state.loop,
            held=state.held,
            publish=self._publisher.publish,
            mark=self._mark_released,
            wake_reader=wake_reader,
        )

    def hear(self, commands: list[Command]) -> None:
        """Audio that the engine has been given."""
        self.diarized.hear(commands)

    def take(self, report: StepReport) -> None:
        """The outputs of one step."""
        self._state.telemetry.observe_step(report, time.monotonic())
        held, ended_ms = self._state.held, report.started_s * 1000 + report.step_ms
        for handle, output in report.outputs:
            session = held(handle)
            pass_ms = report.pass_ms(output)
            started_ms = ended_ms - pass_ms
            if session is not None and not self.diarized.take(session, output, handle, started_ms, pass_ms):
                self._publisher.publish(session, output, handle, started_ms=started_ms, step_ms=pass_ms)
        released = False
        for handle, position in report.positions.items():  # after the outputs of the step, which they include
            session = held(handle)
            if session is not None:
                released = self.diarized.advance(session, handle, *position) or released
                if session.is_due:
                    self._mark(session)
        self.revising.collect(filter(None, map(held, dict.fromkeys((*dict(report.outputs), *report.positions)))))
        if released:
            self._wake_reader()

    def release(self, session: WorkerSession) -> None:
        """Publish what waits for speakers or revisions: the session is about to end."""
        self.diarized.release(session)
        self.revising.stop_awaiting(session)

    def forget(self, session: WorkerSession) -> None:
        """The session has left this worker."""
        self.diarized.forget(session)
        self.revising.forget(session)

    def _mark_released(self, session: WorkerSession) -> None:
        """Finals of a diarized session are complete when they have their labels."""
        self.revising.collect([session])
        self._mark(session)
