"""What the engine's thread tells the engine of a session's options."""

import queue
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shared.session_options import CommitDelay, SessionOptions
from tests.limits import limit_s
from worker.engine_thread import _IDLE_WAIT_S, Configure, EngineThread, Feed, Open, StepReport
from worker.engines.base import Finished, Output, Partial, PassTime
from worker.engines.echo import EchoEngine


class ChoosingEngine(EchoEngine):
    """Keeps the `commit_delay` of what it is given."""

    def __init__(self, *, has_commit_delay: bool) -> None:
        super().__init__(slots=2)
        self.info = replace(self.info, has_commit_delay=has_commit_delay)
        self.given: list[CommitDelay | None] = []

    def open(self, session_id: str, options: SessionOptions, **place: Any) -> None:
        self.given.append(options.commit_delay)
        super().open(session_id, options, **place)

    def configure(self, session_id: str, options: SessionOptions) -> None:
        self.given.append(options.commit_delay)
        super().configure(session_id, options)


@pytest.mark.parametrize("has_commit_delay", [True, False])
def test_setting_counts_for_sessions_that_choose_no_commit_delay(has_commit_delay: bool) -> None:
    engine = ChoosingEngine(has_commit_delay=has_commit_delay)
    reports: queue.Queue[StepReport | BaseException] = queue.Queue()
    thread = EngineThread(engine, reports.put, reports.put, CommitDelay.ACCURATE)
    thread.start()
    thread.post(
        [
            Open("a", SessionOptions(), 0, 0),
            Configure("a", SessionOptions(commit_delay=CommitDelay.FAST)),
            Configure("a", SessionOptions()),
            Feed("a", np.zeros(1600, np.float32)),
        ]
    )
    while not (isinstance(report := reports.get(timeout=limit_s(10)), StepReport) and report.outputs):
        assert isinstance(report, StepReport), report
    thread.stop(10)
    unset = CommitDelay.ACCURATE if has_commit_delay else None
    assert engine.given == [unset, CommitDelay.FAST, unset]


@pytest.mark.parametrize(
    ("step_ms", "passes", "pass_ms"),
    [
        pytest.param(20.0, [PassTime(130.0, 1)], 130.0, id="begun in an earlier step"),
        pytest.param(150.0, [PassTime(130.0, 1)], 150.0, id="begun in this step"),
        pytest.param(20.0, None, 20.0, id="an engine that does not report its passes"),
    ],
)
def test_pass_may_begin_before_the_step_that_gives_its_output(
    step_ms: float, passes: list[PassTime] | None, pass_ms: float
) -> None:
    partial = Partial(0, "hello", 0, 16_000, 130.0)
    report = StepReport([("a", partial), ("a", Finished())], {}, 0.0, step_ms, 1, 0.08, passes)
    assert [report.pass_ms(output) for _, output in report.outputs] == [pass_ms, step_ms]


class RepeatingEngine(EchoEngine):
    """Processes audio again."""

    def __init__(self, *absorbed_samples: int) -> None:
        super().__init__(slots=1)
        self._absorbed_samples = [*absorbed_samples]

    def absorbed_samples(self, session_id: str) -> int:
        return self._absorbed_samples.pop(0)


def test_audio_that_is_processed_again_stays_absorbed() -> None:
    reports: list[StepReport] = []
    thread = EngineThread(RepeatingEngine(0, 4800, 3200, 8000), reports.append, print, CommitDelay.ACCURATE)
    thread.post([Open("a", SessionOptions(), 1600, 0)])
    for _ in range(4):
        thread.post([Feed("a", np.zeros(1600, np.float32))])
        thread._turn()
    assert [report.positions["a"].absorbed_samples for report in reports] == [1600, 4800, 4800, 8000]
    assert [report.audio_s for report in reports] == [0.0, 0.2, 0.0, 0.2]


class SilentEngine(EchoEngine):
    """Of its first steps nothing comes."""

    def __init__(self) -> None:
        super().__init__(slots=2)
        self.silent = 3
        self.all_silent = threading.Event()

    def ready(self) -> bool:
        return self.silent > 0 or super().ready()

    def step(self) -> list[tuple[str, Output]]:
        if self.silent > 0:
            self.silent -= 1
            if not self.silent:
                self.all_silent.set()
            return []
        return super().step()


def test_report_has_the_time_of_the_silent_steps_before_it() -> None:
    reports: queue.Queue[StepReport | BaseException] = queue.Queue()
    engine = SilentEngine()
    thread = EngineThread(engine, reports.put, reports.put, CommitDelay.BALANCED)
    thread.start()
    assert engine.all_silent.wait(limit_s(10))
    thread.post([Open("a", SessionOptions(), 0, 0), Feed("a", np.zeros(16_000, np.float32))])
    report = reports.get(timeout=limit_s(10))
    thread.stop(10)
    assert isinstance(report, StepReport)
    assert report.silent_ms > 0


class GatheringEngine(EchoEngine):
    """Would like to wait for others."""

    def pause_s(self) -> float:
        return 0.015

    def take_passes(self) -> list[PassTime]:
        return []


@pytest.mark.parametrize(("engine", "pause_s"), [(GatheringEngine(1), 0.015), (EchoEngine(1), 0.0)])
def test_thread_waits_as_long_as_the_engine_would(engine: EchoEngine, pause_s: float) -> None:
    thread = EngineThread(engine, print, print, CommitDelay.ACCURATE)
    assert thread._pause_s() == _IDLE_WAIT_S, "nothing is to be done"
    thread.post([Open("a", SessionOptions(), 0, 0), Feed("a", np.zeros(1600, np.float32))])
    thread._execute_commands()
    assert engine.ready()
    assert thread._pause_s() == pause_s
