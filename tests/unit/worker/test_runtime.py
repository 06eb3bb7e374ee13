"""A worker's runtime with its threads, on a Redis in memory: how a session is claimed, served and left."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
import pytest

from shared.bus import keys
from shared.bus.lua.sessions import ELSEWHERE, FENCED, NO_ROOM, UNREADABLE
from shared.bus.lua.slots import BEST
from shared.bus.messages import ControlWord, EntryField, WorkerMessage
from shared.celery_config import Queue
from shared.config.settings import Settings
from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.limits import limit_s
from tests.unit.redis_in_memory import answered, script_named
from worker.engines.echo import EchoEngine
from worker.runtime import WorkerRuntime

OPTIONS = SessionOptions(model="echo", partials=False).to_wire()
CLAIMED = [b"fence", b"1", b"options", orjson.dumps(OPTIONS), b"seq", b"0", b"checkpoint", b"0", b"segment", b"0"]
FIRST_EVENT, ENDING = 15, 10
"""Arguments of `write`."""


class Bus:
    """What Redis holds for one worker. The test adds entries while the worker reads."""

    def __init__(self) -> None:
        self.claim: Any = CLAIMED
        self.free_slots: list[int] = []
        """What the worker said of its slots with each claim."""
        self.write = 1
        self.written: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.endings: dict[str, str] = {}
        self.scripts: list[str] = []
        self.removed: list[str] = []
        self.streams: defaultdict[str, list[tuple[str, list[bytes]]]] = defaultdict(list)

    def say(self, session_id: str, samples: int, end_samples: int) -> None:
        audio = np.zeros(samples, "<i2").tobytes()
        self.add(keys.audio(session_id), f"{end_samples}-0", EntryField.AUDIO, audio)

    def control(self, session_id: str, word: ControlWord, end_samples: int) -> None:
        self.add(keys.audio(session_id), f"{end_samples}-1", EntryField.CONTROL, word.encode())

    def add(self, stream: str, entry_id: str, field: str, value: bytes) -> None:
        self.streams[stream].append((entry_id, [field.encode(), value]))

    def __call__(self, command: str, *words: str) -> Any:
        match command:
            case "EVALSHA":
                return self._run(script_named(words[0]), int(words[1]), words[2:])
            case "XREAD":
                return self._read(words[words.index("STREAMS") + 1 :])
            case "XADD":
                self.add(words[0], f"{len(self.streams[words[0]]) + 1}-0", words[-2], words[-1].encode())
            case "LRANGE":
                return []
            case "ZREM":
                self.removed.append(words[0])
        return 1

    def _run(self, script: str, count: int, words: tuple[str, ...]) -> Any:
        self.scripts.append(script)
        if script == "rank":
            self.free_slots.append(int(words[-1]))
            return [BEST, 1]
        if script == "claim":
            return self.claim
        if script == "write" and self.write != FENCED:
            session_id, arguments = keys.session_of(words[0].encode()), words[count:]
            self.written[session_id] += [orjson.loads(event) for event in arguments[FIRST_EVENT + 1 :: 2]]
            if arguments[ENDING]:
                self.endings[session_id] = arguments[ENDING]
            return 1
        return self.write

    async def _read(self, words: tuple[str, ...]) -> list[Any]:
        asked = list(zip(words[: len(words) // 2], words[len(words) // 2 :], strict=True))
        while not (found := [one for name, after in asked if (one := self._after(name, after))]):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return found

    def _after(self, name: str, after: str) -> list[Any] | None:
        later = [
            [entry.encode(), fields] for entry, fields in list(self.streams[name]) if _place(entry) > _place(after)
        ]
        return [name.encode(), later] if later else None


def _place(entry_id: str) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split("-")))


class Worker:
    """A running worker, and the threads in which Celery would call it."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.dispatched: list[str] = []
        self.dispatched_keys: list[str] = []
        settings = Settings()
        self.runtime = WorkerRuntime(
            settings, EchoEngine(slots=4), self._dispatch, client=lambda *_, **__: answered(self.bus)
        )
        self._pool = ThreadPoolExecutor(4)
        self._changed = threading.Event()
        self.runtime.start()

    def serve(self, session_id: str) -> Future[dict[str, Any]]:
        return self._pool.submit(self.runtime.serve, session_id, OPTIONS, "anna")

    def is_serving(self, session_id: str) -> bool:
        return bool(self.bus.written[session_id])

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(round(limit_s(10) / 0.005)):
            if holds():
                return
            self._changed.wait(0.005)
        pytest.fail("This never became true.")

    def end(self) -> None:
        self.runtime.stop(at_once=True)
        self.runtime.join()
        self._pool.shutdown()

    async def _dispatch(self, session_id: str, _options: SessionOptions, _queue: Queue, key_name: str) -> None:
        self.dispatched.append(session_id)
        self.dispatched_keys.append(key_name)


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.end()


def test_session_is_served_from_its_first_event_to_its_last(worker: Worker) -> None:
    worker.bus.say("s1", SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    worker.bus.control("s1", ControlWord.END, SAMPLE_RATE_HZ)
    summary = worker.serve("s1").result(limit_s(10))
    assert (summary["outcome"], summary["audio_s"], summary["segments"]) == ("done", 1.0, 1)
    events = worker.bus.written["s1"]
    assert [event["type"] for event in events] == ["ready", "final", "done"]
    assert [event["seq"] for event in events] == [1, 2, 3]
    assert events[1]["text"] == "1 seconds"
    assert worker.bus.endings == {"s1": "done"}


@pytest.mark.parametrize(
    ("answer", "dispatched"), [(None, []), (UNREADABLE, []), (ELSEWHERE, ["s1"]), (NO_ROOM, ["s1"])]
)
def test_session_that_cannot_be_claimed_is_not_served(worker: Worker, answer: Any, dispatched: list[str]) -> None:
    worker.bus.claim = answer
    assert worker.serve("s1").result(limit_s(10)) == {"outcome": "not claimed"}
    assert worker.dispatched == dispatched
    assert not worker.is_serving("s1")


def test_claims_say_how_many_slots_are_free(worker: Worker) -> None:
    """A session with separate channels has one for each."""
    stereo = orjson.dumps(OPTIONS | {"channels": 2})
    worker.bus.claim = [stereo if one == CLAIMED[3] else one for one in CLAIMED]
    worker.serve("s1")
    worker.until(lambda: worker.is_serving("s1"))
    worker.bus.claim = CLAIMED
    for session_id in ("s2", "s3"):
        worker.serve(session_id)
        worker.until(lambda session_id=session_id: worker.is_serving(session_id))
    worker.bus.claim = None
    worker.serve("s4").result(limit_s(10))
    assert worker.bus.free_slots == [4, 2, 1, 0]


def test_lease_of_a_session_is_renewed(worker: Worker) -> None:
    worker.serve("s1")
    worker.until(lambda: "renew" in worker.bus.scripts)


def test_session_of_another_worker_is_dropped_at_the_next_write(worker: Worker) -> None:
    worker.bus.write = FENCED
    assert worker.serve("s1").result(limit_s(10))["outcome"] == "taken over"
    assert not worker.is_serving("s1")


def test_erased_session_ends_without_another_event(worker: Worker) -> None:
    serving = worker.serve("s1")
    worker.until(lambda: worker.is_serving("s1"))
    worker.bus("XADD", keys.control(worker.runtime.id), "*", WorkerMessage.CANCEL, "s1")
    assert serving.result(limit_s(10))["outcome"] == "cancelled"
    assert [event["type"] for event in worker.bus.written["s1"]] == ["ready"]


def test_sessions_are_told_that_the_worker_stops(worker: Worker) -> None:
    serving = worker.serve("s1")
    worker.until(lambda: worker.is_serving("s1"))
    worker.runtime.stop(at_once=True)
    assert serving.result(limit_s(10))["outcome"] == "failed"
    last = worker.bus.written["s1"][-1]
    assert (last["type"], last["code"]) == ("error", "model_unavailable")
    worker.until(lambda: keys.WORKERS in worker.bus.removed)


def test_task_that_arrives_while_the_worker_stops_is_passed_on(worker: Worker) -> None:
    worker.runtime.stop()
    worker.until(lambda: keys.WORKERS in worker.bus.removed)
    assert worker.serve("s1").result(limit_s(10)) == {"outcome": "not claimed"}
    assert (worker.dispatched, worker.dispatched_keys) == (["s1"], ["anna"])
    assert "claim" not in worker.bus.scripts


def test_worker_reports_itself_once_it_takes_tasks(worker: Worker) -> None:
    assert "beat" not in worker.bus.scripts
    worker.runtime.announce()
    worker.until(lambda: "beat" in worker.bus.scripts)
