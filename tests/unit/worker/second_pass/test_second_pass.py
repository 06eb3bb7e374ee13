"""The second model works only while the engine has nothing to do, and its failures end nothing."""

import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.session_options import CommitDelay, Mode, SessionOptions
from tests.limits import limit_s
from tests.unit.worker.second_pass.tasks import answer, task
from worker.engine_thread import EngineThread, Feed, Open
from worker.engines.base import Output
from worker.engines.echo import EchoEngine
from worker.second_pass.backlog import Backlog, Task
from worker.second_pass.model import LOWEST_PRIORITY, at_lowest_priority
from worker.second_pass.second_pass import Answer, SecondPass


class Model:
    """Answers at once; `fails` raises instead."""

    name, modes, batch = "second", (Mode.TRANSCRIBE,), 2

    def __init__(self, done: list[str], *, fails: bool = False) -> None:
        self._done = done
        self._fails = fails

    def decode(self, tasks: Sequence[Task]) -> list[Answer]:
        if self._fails:
            raise RuntimeError("out of memory")
        self._done.append(f"second {len(tasks)}")
        return [answer(f"text {one.index}") for one in tasks]


class BusyEngine(EchoEngine):
    """Has work for three steps; a step waits until the test allows it."""

    def __init__(self, done: list[str]) -> None:
        super().__init__(slots=2)
        self._done = done
        self.allowed = threading.Semaphore(0)

    def ready(self) -> bool:
        return 0 < len(self._done) < 4

    def step(self) -> list[tuple[str, Output]]:
        assert self.allowed.acquire(timeout=limit_s(10))
        self._done.append("live")
        return []


def test_second_model_waits_for_an_idle_engine() -> None:
    done: list[str] = []
    idle, answers = threading.Event(), queue.Queue[tuple[Task, Answer | None]]()
    engine = BusyEngine(done)
    thread = EngineThread(engine, lambda _: None, answers.put, CommitDelay.BALANCED, idle)
    second = SecondPass(Model(done), Backlog(60), idle, lambda *one: answers.put(one))
    done.append("begun")  # from now on the engine has work
    thread.start()
    second.start()
    for index in range(3):
        second.backlog.put(task(index=index))
    for _ in range(3):
        engine.allowed.release()
    found = [answers.get(timeout=limit_s(10)) for _ in range(3)]
    assert [(one.index, said and said.text) for one, said in found] == [(0, "text 0"), (1, "text 1"), (2, "text 2")]
    assert done == ["begun", "live", "live", "live", "second 2", "second 1"]
    second.stop()
    thread.stop(10)


def test_failure_costs_only_the_revision() -> None:
    idle, answers = threading.Event(), queue.Queue[Any]()
    idle.set()
    second = SecondPass(Model([], fails=True), Backlog(60), idle, lambda *one: answers.put(one))
    second.start()
    for index in range(2):
        second.backlog.put(task(index=index))
        assert answers.get(timeout=limit_s(10))[1] is None, "the thread continues"
    second.stop()


def test_engine_is_not_idle_while_it_steps() -> None:
    idle, reports = threading.Event(), queue.Queue[Any]()
    thread = EngineThread(
        EchoEngine(2), lambda report: reports.put((report, idle.is_set())), reports.put, CommitDelay.BALANCED, idle
    )
    thread.start()
    assert idle.wait(limit_s(10))
    thread.post([Open("a", SessionOptions(), 0, 0), Feed("a", np.zeros(1600, np.float32))])
    _, was_idle = reports.get(timeout=limit_s(10))
    assert not was_idle
    assert idle.wait(limit_s(10))
    thread.stop(10)


def test_threads_of_the_model_inherit_the_lowest_priority() -> None:
    go = threading.Event()
    nice: list[int] = []

    def work() -> threading.Thread:
        started = threading.Thread(target=lambda: (go.wait(), nice.append(own_nice())))
        started.start()
        return started

    started = at_lowest_priority(work)
    go.set()
    started.join()
    assert nice == [LOWEST_PRIORITY]
    assert own_nice() < LOWEST_PRIORITY, "the caller keeps its own"
    with pytest.raises(ZeroDivisionError):
        at_lowest_priority(lambda: 1 // 0)


def own_nice() -> int:
    """Field 19 of the thread's `stat`; the name before it may contain spaces."""
    stat = Path(f"/proc/self/task/{threading.get_native_id()}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[16])
