"""What a worker makes of the entries of its audio and control streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import orjson
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.bus import keys
from shared.bus.messages import ControlWord, WorkerMessage
from shared.session_options import SessionOptions
from tests.unit.redis_in_memory import Clock, answered
from tests.unit.worker.claimed_sessions import claimed
from worker import audio_reader
from worker.audio_reader import AudioReader
from worker.engine_thread import Command, Commit, Configure, Feed, Finish
from worker.positions import ENGINE_BACKLOG_SAMPLES
from worker.session import WorkerSession

CONTROL = keys.control("w1")


class Worker:
    """One session, and the streams that its worker reads."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.session = claimed("s1", self.clock.now_s)
        self.sessions: dict[str, WorkerSession] = {"s1": self.session}
        self.commands: list[Command] = []
        self.asked: list[dict[str, str]] = []
        """Of each read: the last entry that was read before, by stream."""
        self.faults = 0
        self._reading = asyncio.Event()
        self._given = 0
        """How many replies the reader was given."""
        self._replies: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.reader = AudioReader(answered(self._answer), "w1", self.sessions, self.commands.extend, self.clock)

    async def read(self, key: str, *entries: tuple[str, dict[str, Any]]) -> None:
        """The reader gets these entries of a stream; returns when it has taken them."""
        encoded = []
        for entry_id, fields in entries:
            parts = [part for pair in fields.items() for part in pair]
            encoded.append(
                [entry_id.encode(), [part if isinstance(part, bytes) else str(part).encode() for part in parts]]
            )
        self._replies.put_nowait([[key.encode(), encoded]])
        self._given += 1
        async with asyncio.timeout(10):
            while len(self.asked) <= self._given:
                self._reading.clear()
                await self._reading.wait()

    async def control(self, entry_id: str, word: ControlWord, argument: bytes = b"") -> None:
        await self.read(keys.audio("s1"), (entry_id, {"c": word, "v": argument, "t": 0}))

    def _answer(self, command: str, *words: str) -> Any:
        assert command == "XREAD"
        if self.faults:
            self.faults -= 1
            raise RedisConnectionError("gone")
        named = words[words.index("STREAMS") + 1 :]
        half = len(named) // 2
        self.asked.append(dict(zip(named[:half], named[half:], strict=True)))
        self._reading.set()
        return self._replies.get()


@pytest.fixture
async def worker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    monkeypatch.setattr(audio_reader, "RETRY_PAUSE_S", 0.0)
    monkeypatch.setattr(audio_reader, "GATHER_S_PER_SESSION", 0.0)
    worker = Worker()
    loop = asyncio.create_task(worker.reader.run())
    yield worker
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


def pcm(*samples: int) -> bytes:
    return np.array(samples, "<i2").tobytes()


async def test_audio_is_fed_as_floats_and_read_on_behind_it(worker: Worker) -> None:
    await worker.read(keys.audio("s1"), ("2-0", {"a": pcm(0, 16384), "t": 5.0}), ("3-0", {"a": pcm(-32768), "t": 6.0}))
    first, second = worker.commands
    assert isinstance(first, Feed)
    assert isinstance(second, Feed)
    assert (first.session_id, first.pcm.tolist(), second.pcm.tolist()) == ("s1/1", [0.0, 0.5], [-1.0])
    assert worker.session.read_samples == 3
    assert worker.session.waiting_since_ms() == 5.0
    assert worker.asked[-1] == {CONTROL: "0-0", keys.audio("s1"): "3-0"}


async def test_audio_that_was_read_before_is_not_fed_again(worker: Worker) -> None:
    await worker.read(keys.audio("s1"), ("2-0", {"a": pcm(1, 2)}))
    await worker.read(keys.audio("s1"), ("3-0", {"a": pcm(1, 2, 3)}))
    last = worker.commands[-1]
    assert isinstance(last, Feed)
    assert last.pcm.tolist() == [3 / 32768]


async def test_session_that_was_lost_and_claimed_again_is_read_from_its_own_position(worker: Worker) -> None:
    audio = keys.audio("s1")
    await worker.read(audio, ("2-0", {"a": pcm(1, 2)}))
    del worker.commands[:]
    worker.sessions["s1"] = claimed("s1", worker.clock.now_s)
    await worker.read(audio, ("3-0", {"a": pcm(3)}))  # the answer to a call for the first claim
    assert worker.commands == []
    assert worker.asked[-1][audio] == "0-0"


async def test_control_words_become_commands(worker: Worker) -> None:
    options = orjson.dumps(SessionOptions(language="de").to_wire())
    await worker.control("0-2", ControlWord.COMMIT)
    await worker.control("0-3", ControlWord.CONFIGURE, options)
    await worker.control("0-4", ControlWord.END)
    commit, configure, finish = worker.commands
    assert (commit, finish) == (Commit("s1/1"), Finish("s1/1"))
    assert isinstance(configure, Configure)
    assert configure.options.language == worker.session.options.language == "de"
    assert worker.session.finishing


async def test_client_that_goes_and_comes_back_is_noted(worker: Worker) -> None:
    await worker.control("0-2", ControlWord.DETACH)
    worker.clock.pass_s(2.0)
    assert worker.session.awaited_for_s(worker.clock.now_s) == 2.0
    await worker.control("0-3", ControlWord.ATTACH)
    assert not worker.session.is_detached
    assert worker.commands == []


@pytest.mark.parametrize("argument", [b"[", b'{"mode": "sing"}'], ids=["json", "mode"])
async def test_options_that_cannot_be_read_change_nothing(worker: Worker, argument: bytes) -> None:
    before = worker.session.options
    await worker.control("0-2", ControlWord.CONFIGURE, argument)
    assert (worker.commands, worker.session.options) == ([], before)


async def test_word_of_a_newer_frontend_is_ignored(worker: Worker) -> None:
    await worker.read(keys.audio("s1"), ("0-2", {"c": "sing", "t": 0}))
    assert worker.commands == []
    assert worker.asked[-1][keys.audio("s1")] == "0-2"


async def test_audio_of_a_session_that_gives_way_is_not_heard(worker: Worker) -> None:
    worker.session.give_way()
    await worker.read(keys.audio("s1"), ("1-0", {"a": pcm(1)}))
    assert worker.commands == []


async def test_audio_of_a_session_that_has_gone_is_ignored(worker: Worker) -> None:
    await worker.read(CONTROL, ("5-0", {WorkerMessage.WAKE: 1}))
    del worker.sessions["s1"]
    await worker.read(keys.audio("s1"), ("1-0", {"a": pcm(1)}))
    assert worker.commands == []


async def test_session_is_not_read_while_the_engine_has_enough_of_it_or_it_ends(worker: Worker) -> None:
    worker.session.arrived(ENGINE_BACKLOG_SAMPLES, 0.0, 0.0)
    await worker.read(CONTROL, ("5-0", {WorkerMessage.WAKE: 1}))
    assert worker.asked[-1] == {CONTROL: "5-0"}
    worker.session.advance(ENGINE_BACKLOG_SAMPLES, 0)
    await worker.read(CONTROL, ("6-0", {WorkerMessage.WAKE: 1}))
    assert keys.audio("s1") in worker.asked[-1]
    worker.session.cancel()
    await worker.read(CONTROL, ("7-0", {WorkerMessage.WAKE: 1}))
    assert worker.asked[-1] == {CONTROL: "7-0"}


@pytest.mark.parametrize("message", [WorkerMessage.CANCEL, WorkerMessage.GIVE_WAY])
async def test_sessions_that_are_to_end_are_handed_on(worker: Worker, message: WorkerMessage) -> None:
    await worker.read(CONTROL, ("1-0", {message: "s1"}))
    assert worker.reader.messages.get_nowait() == (message, "s1")
    assert worker.reader.messages.empty()


async def test_lost_redis_is_waited_for(worker: Worker) -> None:
    worker.faults = 3
    await worker.control("0-2", ControlWord.COMMIT)
    await worker.control("0-3", ControlWord.COMMIT)
    assert worker.commands == [Commit("s1/1")] * 2
    assert worker.faults == 0
