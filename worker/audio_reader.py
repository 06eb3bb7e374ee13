"""Reads the audio of every session of this worker with one blocking XREAD, and passes it to the engine.

The same call reads the worker's control stream, so that a session that joins, leaves or is cancelled
wakes it at once.

A node of a Redis Cluster rejects a call that names streams of several hash slots. So each shard is read by itself: in
one round trip, with a call for each stream, `POLL_S` after the last one. A shard without sessions is read with a
blocking call of its own stream.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus import control, keys
from shared.bus.audio import AudioEntry, parse_entry
from shared.bus.messages import ControlWord, WorkerMessage
from shared.bus.scripts import answers
from shared.bus.sharded import held_at, is_of_cluster, name_at, on_each_shard, place_at, place_of, shards_of
from shared.events import SessionOptions
from worker.engine_thread import Command, Commit, Configure, Feed, Finish
from worker.session import WorkerSession

BLOCK_MS: Final = 1000
ENTRIES_PER_READ: Final = 100
"""Entries of one session per read: at most 10 s of audio, so that one upload does not delay the others."""
POLL_S: Final = 0.01
POLL_S_PER_SESSION: Final = 5e-5
"""Added for each session of the shard: hundreds are read less often."""
RETRY_PAUSE_S: Final = 0.25
GATHER_S_PER_SESSION: Final = 8e-6
MAX_GATHER_S: Final = 0.01
"""Pause between reads that grows with the number of sessions: a call then reads more of them at a lower cost each."""

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
        self._control_ids: dict[bytes, bytes] = {}
        """The last entry that was read of each control stream, by its name in Redis."""
        self._sessions = sessions
        self._post = post
        self._clock = clock
        self.dismissed: asyncio.Queue[tuple[WorkerMessage, str]] = asyncio.Queue()
        """Sessions that must end, by id: `CANCEL` (erased) or `GIVE_WAY` (another session has taken its slot); and
        requests to embed a voice (`EMBED`) and of operators (`END`, `DRAIN`)."""

    async def wake(self, redis: Redis) -> None:
        """End the blocking reads, so that they restart with the current sessions. `redis` is another client."""
        if not is_of_cluster(redis):
            await control.wake(redis, self._worker_id)
            return
        places = {place_at(redis, keys.audio(session_id)) for session_id in self._sessions}
        for shard in shards_of(redis):
            if place_of(shard) in places:
                await control.wake(shard, self._worker_id)

    async def run(self) -> None:
        """The loops, one for each shard of Redis; runs until cancelled. A loop waits while Redis is unavailable."""
        await on_each_shard(self._redis, self._run)

    async def _run(self, shard: Redis) -> None:
        while True:
            try:
                streams = await self._read(shard)
            except (RedisError, OSError) as error:
                log.warning("audio_read_delayed", reason=str(error))
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            self._take(streams)
            await asyncio.sleep(min(MAX_GATHER_S, GATHER_S_PER_SESSION * len(self._sessions)))

    async def _read(self, shard: Redis) -> list[Any]:
        """What has arrived at a shard, by stream."""
        stream = control.stream_at(shard, self._worker_id)
        wanted = {stream: self._control_ids.setdefault(name_at(shard, stream).encode(), b"0-0")}
        here = held_at(self._redis, place_of(shard), self._sessions.values(), lambda one: keys.audio(one.session_id))
        for session in here:
            if not session.throttled and session.ending is None:
                wanted[keys.audio(session.session_id)] = session.last_entry_id
        if is_of_cluster(shard) and len(wanted) > 1:
            return await self._read_each(shard, wanted)
        command = ("XREAD", "COUNT", ENTRIES_PER_READ, "BLOCK", BLOCK_MS, "STREAMS", *wanted.keys(), *wanted.values())
        return list(await shard.execute_command(*command) or ())

    @staticmethod
    async def _read_each(shard: Redis, wanted: dict[str, bytes]) -> list[Any]:
        await asyncio.sleep(POLL_S + POLL_S_PER_SESSION * len(wanted))
        pipe = shard.pipeline(transaction=False)
        for stream, last_id in wanted.items():
            pipe.execute_command("XREAD", "COUNT", ENTRIES_PER_READ, "STREAMS", stream, last_id)
        found = answers(await pipe.execute(raise_on_error=False))
        return [stream for answer in found for stream in answer or ()]

    def _take(self, streams: list[Any]) -> None:
        commands: list[Command] = []
        now_s = self._clock()
        for name, entries in streams:
            if name in self._control_ids:
                self._take_control(name, entries)
                continue
            session = self._sessions.get(keys.session_of(name))
            if session is not None:
                for entry_id, fields in entries:
                    commands.extend(self._take_entry(session, parse_entry(entry_id, fields), now_s))
        self._post(commands)

    def _take_control(self, stream: bytes, entries: list[Any]) -> None:
        for entry_id, fields in entries:
            self._control_ids[stream] = entry_id
            for how in WorkerMessage:
                if how is not WorkerMessage.WAKE and (named := fields.get(how.encode())) is not None:
                    self.dismissed.put_nowait((how, named.decode()))

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
                return [Commit(handle) for handle in session.commit(entry.end_samples)]
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
