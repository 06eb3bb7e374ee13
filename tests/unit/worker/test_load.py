"""When a worker is overloaded, and what is said of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from frontend.monitoring.prometheus import prometheus_text
from frontend.monitoring.status import Snapshot
from frontend.sessions.running_models import running_models
from shared.config.settings import Settings
from shared.session_options import CommitDelay, SessionOptions
from tests.unit.reports import report
from worker.engine_thread import EngineThread, Feed, Open, StepReport
from worker.engines.base import PassTime
from worker.engines.echo import EchoEngine
from worker.load import MIN_PASSES, WINDOW_S, Load, nearest_rank
from worker.telemetry import Telemetry

FRAME_MS = 80.0


def measured(load: Load, passes_ms: Sequence[float], at_s: float) -> tuple[float, bool]:
    load.observe(passes_ms, at_s)
    return load.measure(at_s)


def test_percentiles_are_the_nearest_rank() -> None:
    hundred = range(1, 101)
    assert [nearest_rank(hundred, one) for one in (0.0, 0.07, 0.5, 0.95, 0.99, 1.0)] == [1, 7, 50, 95, 99, 100]
    assert [nearest_rank([1, 2, 3][:count], 0.5) for count in (1, 2, 3)] == [1, 1, 2]


def test_load_is_that_of_the_longest_passes_of_the_last_seconds() -> None:
    load = Load(FRAME_MS)
    assert measured(load, [20.0] * 98 + [60.0] * 2, 0) == (0.75, False)
    assert measured(load, [], WINDOW_S + 0.1) == (0.0, False)


def test_one_long_pass_among_many_overloads_no_worker() -> None:
    assert measured(Load(FRAME_MS), [20.0] * 99 + [500.0], 0) == (0.25, False)


def test_worker_takes_sessions_again_when_its_load_is_well_below_the_limit() -> None:
    load = Load(FRAME_MS)
    states = [
        measured(load, [pass_ms] * 50, 11.0 * number)[1] for number, pass_ms in enumerate((63, 65, 60, 57, 55, 60))
    ]
    assert states == [False, True, True, True, False, False], "0.79, 0.81, 0.75, 0.71, 0.69, 0.75"


def test_worker_whose_sessions_have_gone_is_free_again() -> None:
    load = Load(FRAME_MS)
    assert measured(load, [100.0] * 50, 0)[1]
    assert load.measure(WINDOW_S - 1)[1]
    assert not load.measure(WINDOW_S + 1)[1]


def test_few_passes_and_engines_without_frames_have_no_load() -> None:
    assert measured(Load(FRAME_MS), [500.0] * (MIN_PASSES - 1), 0) == (0.0, False)
    assert measured(Load(0.0), [500.0] * 100, 0) == (0.0, False)


class PacedEcho(EchoEngine):
    def pause_s(self) -> float:
        return 0.0

    def take_passes(self) -> list[PassTime]:
        return [PassTime(70.0, 3)] * MIN_PASSES


@pytest.mark.parametrize(("engine", "expected"), [(PacedEcho(1), (0.875, True)), (EchoEngine(1), (0.0, False))])
def test_passes_of_an_engine_become_the_load_of_its_worker(engine: Any, expected: tuple[float, bool]) -> None:
    telemetry = Telemetry(FRAME_MS)
    reports: list[StepReport] = []
    thread = EngineThread(engine, reports.append, reports.append, CommitDelay.BALANCED)  # type: ignore[arg-type]
    thread.post([Open("a", SessionOptions(), 0, 0), Feed("a", np.zeros(1600, np.float32))])
    thread._turn()
    for one in reports:
        telemetry.observe_step(one, 5.0)
    assert telemetry.load.measure(5.0) == expected


def test_overloaded_worker_offers_no_slot_and_is_said_to() -> None:
    busy = replace(report("echo", 1), load=0.9, overloaded=True)
    assert busy.slots_free == 0
    text = prometheus_text([busy], [], redis_up=True, ready=True).decode()
    assert 'voxtral_worker_load{worker="echo-1"} 0.9' in text
    assert 'voxtral_worker_overloaded{worker="echo-1"} 1.0' in text
    obstacle = Snapshot(1.0, None, [busy], []).obstacle(Settings())
    assert obstacle == "Every worker has all its slots in use, or rejects new sessions because of its load."
    assert Snapshot(1.0, None, [busy, report("echo", 0)], []).obstacle(Settings()) is None


def test_capacity_of_a_model_is_without_the_free_slots_of_overloaded_workers() -> None:
    busy = replace(report("echo", 1), overloaded=True)
    [both] = running_models([busy, report("echo", 0)])
    assert (both.slots, both.slots_free, both.capacity) == (4, 2, 3)
    [alone] = running_models([busy])
    assert (alone.slots, alone.slots_free, alone.capacity) == (2, 0, 0)
