"""Reads the audio of every session of this worker with one blocking XREAD, and passes it to the engine.

The same call reads the worker's control stream, so that a session that joins, leaves or is cancelled
wakes it at once.

A node of a Redis Cluster rejects a call that names streams of several hash slots. There each session is read by a
blocking call and over a connection of its own, and so is the control stream: a worker has few sessions on each of many
shards, and a shard that fails over delays no session of another one.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus import control, keys
from shared.bus.audio import AudioEntry, parse_entry
from shared.bus.messages import ControlWord, WorkerMessage
from shared.bus.sharded import is_of_cluster, name_in_answers
from shared.session_options import SessionOptions
from shared.tasks import end_all
from worker.engine_thread import Command, Commit, Configure, Feed, Finish
from worker.session import WorkerSession

BLOCK_MS: Final = 1000
SPARE_CONNECTIONS: Final = 4
"""Of the reader, besides one for each session, which it needs on a Redis Cluster."""
ENTRIES_PER_READ: Final = 100
"""Entries of one session per read: at most 10 s of audio, so that one upload does not delay the others."""
RETRY_PAUSE_S: Final = 0.25
GATHER_S_PER_SESSION: Final = 8e-6
MAX_GATHER_S: Final = 0.01
"""Pause between reads that grows with the number of sessions: a call then reads more of them at a lower cost each."""
THROTTLED_S: Final = 0.02
"""How often a session that reads ahead looks whether it may read on, on a cluster."""

log = structlog.get_logger()


class AudioReader:
    """Reads for all sessions of one worker. `post` hands commands to its engine."""

    def __init__(
        self,
        redis: Redis,
        worker_id: str,
        sessions: dict[str, WorkerSession],
        post: Callable[[list[Command]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._worker_id = worker_id
        self._control_key = keys.control(worker_id)
        self._control_name = name_in_answers(redis, self._control_key).encode()
        self._control_id = b"0-0"
        self._sessions = sessions
        self._post = post
        self._clock = clock
        self.messages: asyncio.Queue[tuple[WorkerMessage, str]] = asyncio.Queue()
        """What other processes have sent to this worker, each with its value: all but `WAKE`."""

    async def wake(self, redis: Redis) -> None:
        """End the blocking read, so that it restarts with the current sessions. `redis` is another client."""
        await control.send(redis, self._worker_id, WorkerMessage.WAKE, 1)

    async def run(self) -> None:
        """The loop; runs until cancelled. It waits while Redis is unavailable."""
        if is_of_cluster(self._redis):
            await self._run_each()
            return
        while True:
            sessions = [one for one in self._sessions.values() if not one.throttled and one.ending is None]
            if await self._read(sessions, with_control=True):
                await asyncio.sleep(min(MAX_GATHER_S, GATHER_S_PER_SESSION * len(self._sessions)))

    async def _run_each(self) -> None:
        """Read the control stream, and each session by itself."""
        running: dict[WorkerSession, asyncio.Task[None]] = {}
        try:
            while True:
                await self._read([], with_control=True)
                for session in self._sessions.values():
                    if session not in running:
                        running[session] = asyncio.create_task(self._run_session(session))
                for session in [one for one, task in running.items() if task.done()]:
                    running.pop(session).result()
        finally:
            await end_all(running.values())

    async def _run_session(self, session: WorkerSession) -> None:
        while session.ending is None and self._sessions.get(session.session_id) is session:
            if session.throttled:
                await asyncio.sleep(THROTTLED_S)
            elif await self._read([session], with_control=False):
                await asyncio.sleep(MAX_GATHER_S)

    async def _read(self, sessions: Sequence[WorkerSession], *, with_control: bool) -> bool:
        """Wait for entries in the streams of these sessions, and take them; False if Redis is unavailable."""
        places = {self._control_key: self._control_id} if with_control else {}
        places |= {keys.audio(session.session_id): session.last_entry_id for session in sessions}
        command = ("XREAD", "COUNT", ENTRIES_PER_READ, "BLOCK", BLOCK_MS, "STREAMS", *places, *places.values())
        try:
            streams = await self._redis.execute_command(*command)
        except (RedisError, OSError) as error:
            log.warning("audio_read_delayed", reason=str(error))
            await asyncio.sleep(RETRY_PAUSE_S)
            return False
        self._take(streams or (), sessions)
        return True

    def _take(self, streams: Iterable[Any], sessions: Iterable[WorkerSession]) -> None:
        commands: list[Command] = []
        now_s = self._clock()
        asked = {session.session_id: session for session in sessions}
        for name, entries in streams:
            if name == self._control_name:
                self._take_control(entries)
                continue
            session = asked[keys.session_of(name)]
            # Meanwhile this worker may have lost it, and claimed it again: that claim reads from its own position.
            if self._sessions.get(session.session_id) is session:
                for entry_id, fields in entries:
                    commands.extend(self._take_entry(session, parse_entry(entry_id, fields), now_s))
        self._post(commands)

    def _take_control(self, entries: list[Any]) -> None:
        for entry_id, fields in entries:
            self._control_id = entry_id
            for message in WorkerMessage:
                if message is not WorkerMessage.WAKE and (value := fields.get(message.encode())) is not None:
                    self.messages.put_nowait((message, value.decode()))

    @staticmethod
    def _take_entry(session: WorkerSession, entry: AudioEntry, now_s: float) -> list[Command]:
        session.read(entry.entry_id)
        if session.gives_way:
            return []  # its client has reconnected too late
        if entry.control is None:
            parts = session.parts(entry.end_samples, entry.pcm)
            session.arrived(entry.end_samples, entry.arrived_ms, now_s)
            for handle, samples in parts:
                session.keep(handle, samples)
            return [Feed(handle, samples) for handle, samples in parts]
        session.heard(now_s)
        match entry.control:
            case ControlWord.COMMIT:
                return [Commit(handle) for handle in session.commit(entry.entry_id, entry.end_samples)]
            case ControlWord.END:
                session.finish()
                return [Finish(handle) for handle in session.handles]
            case ControlWord.CONFIGURE:
                return AudioReader._configure(session, entry)
            case ControlWord.DETACH:
                session.detach(now_s)
            case ControlWord.ATTACH:
                session.attach()
        return []

    @staticmethod
    def _configure(session: WorkerSession, entry: AudioEntry) -> list[Command]:
        """Apply options. Unreadable ones, for example of a newer frontend, change nothing."""
        try:
            options = SessionOptions.from_wire(orjson.loads(entry.argument))
        except (ValueError, TypeError, KeyError) as error:
            log.warning("options_unreadable", session_id=session.session_id, reason=str(error))
            return []
        session.configure(options, entry.argument, entry.end_samples)
        return [Configure(handle, session.options) for handle in session.handles]
