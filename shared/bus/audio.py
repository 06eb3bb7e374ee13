"""Audio from a frontend to a worker: one Redis stream per session, one writer per frontend process.

An entry's id is `{end position in samples}-{n}`. So Redis rejects a repeated write, trimming up to a
position needs no look-up, and the stream itself records how much audio has been received, even when it is empty.
Only the session's newest connection may write; see `attachment`.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from shared.bus import keys
from shared.bus.attachment import Attachment
from shared.bus.cluster import Shard
from shared.bus.connect import connect
from shared.bus.lua.audio import APPEND
from shared.bus.messages import ControlWord, EntryField
from shared.bus.recent import Recent
from shared.bus.scripts import Call, Script, answers
from shared.bus.sharded import client_at, is_of_cluster, on_each_shard, place_of, shard_of
from shared.config.settings import Settings

ENTRY_MAX_BYTES: Final = 3200
"""100 ms of s16le at 16 kHz; of several tracks a part of that."""
ENTRY_MIN_BYTES: Final = 640
"""20 ms of each track: smaller pieces wait for more audio, but never longer than `COALESCE_S`."""
COALESCE_S: Final = 0.02
GATHER_S: Final = 0.002
"""Pause after each call. A single entry does not wait; under load the next call holds more entries."""
ENTRIES_PER_CALL: Final = 500
"""At most 1.6 MB: Redis serves no other client meanwhile."""
RETRY_PAUSE_S: Final = 0.25
STREAM_MAX_ENTRIES: Final = 20_000
"""400 s in the smallest entries. Older ones are lost."""
_AUDIO: Final = EntryField.AUDIO.encode()
_CONTROL: Final = EntryField.CONTROL.encode()
_ARGUMENT: Final = EntryField.ARGUMENT.encode()
_ARRIVED: Final = EntryField.ARRIVED.encode()

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AudioEntry:
    """One entry of an audio stream: PCM, or a control word between two pieces of it."""

    entry_id: bytes
    end_samples: int
    pcm: bytes
    """s16le, 16 kHz, mono or one sample of each track after another; empty in a control entry."""
    control: str | None
    """A `ControlWord`, or one of a newer frontend."""
    argument: bytes
    arrived_ms: float
    """Wall clock of the frontend when the last byte arrived."""


def parse_entry(entry_id: bytes, fields: Any) -> AudioEntry:
    """An entry as XREAD returns it; `fields` is a flat list or a dict by protocol version."""
    found = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    control = found.get(_CONTROL)
    return AudioEntry(
        entry_id=entry_id,
        end_samples=int(entry_id.partition(b"-")[0]),
        pcm=found.get(_AUDIO, b""),
        control=control.decode() if control is not None else None,
        argument=found.get(_ARGUMENT, b""),
        arrived_ms=float(found.get(_ARRIVED, b"0")),
    )


def entry_order(entry_id: bytes) -> tuple[int, int]:
    """The place of an entry in its stream; an empty id comes before all entries."""
    end_samples, _, number = entry_id.partition(b"-")
    return int(end_samples or -1), int(number or 0)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry that is to be written."""

    track: "AudioTrack"
    end_samples: int
    control: int
    """Counts the control entries at this position; 0 is audio."""
    number: int | None
    fields: tuple[str | bytes, ...]


class AudioTrack:
    """The audio of one session that is still to be written. Made by `AudioWriter.track`."""

    __slots__ = (
        "_controls_here",
        "_first_arrival_s",
        "_writer",
        "attachment",
        "end_samples",
        "frame_bytes",
        "lane",
        "number",
        "on_refused",
        "on_stored",
        "pending",
        "session_id",
        "unwritten_entries",
        "written_samples",
    )

    def __init__(self, writer: "AudioWriter", session_id: str, attachment: Attachment, tracks: int) -> None:
        self._writer = writer
        self.frame_bytes = 2 * tracks
        self._controls_here = attachment.controls_here
        self._first_arrival_s = 0.0
        self.session_id = session_id
        self.lane: _Lane | None = None
        """Who writes its entries."""
        self.attachment = attachment
        self.number = attachment.number
        """The number of the last numbered control message that was accepted."""
        self.pending = bytearray()
        self.end_samples = attachment.received_samples
        """Position after the last sample that was accepted, written or not."""
        self.written_samples = attachment.received_samples
        """Position after the last sample that was passed to the writer."""
        self.unwritten_entries = 0
        """Entries that Redis has not confirmed yet."""
        self.on_stored: Callable[[int], None] | None = None
        """Called with the position up to which audio is in Redis, whenever it grows."""
        self.on_refused: Callable[[], None] | None = None
        """Called when a newer connection has taken the session."""

    def append(self, pcm: bytes) -> None:
        """Accept s16le samples of all tracks. They reach Redis within `COALESCE_S` and a round trip."""
        if not self.pending:
            self._first_arrival_s = time.monotonic()
        self.pending += pcm
        self.end_samples += len(pcm) // self.frame_bytes
        self._writer.wake(self)

    def control(self, word: ControlWord, argument: bytes = b"", number: int | None = None) -> None:
        """Write a control word after all audio accepted so far, unless its number was accepted before."""
        if number is not None:
            if number <= self.number:
                return
            self.number = number
        self.cut()
        self._controls_here += 1
        fields = (_CONTROL, word, _ARGUMENT, argument, _ARRIVED, f"{time.time() * 1000:.1f}")
        self._writer.enqueue(_Entry(self, self.written_samples, self._controls_here, number, fields))

    def due(self, now_s: float) -> bool:
        return (
            len(self.pending) >= ENTRY_MIN_BYTES * self.frame_bytes // 2 or now_s - self._first_arrival_s >= COALESCE_S
        )

    def cut(self) -> None:
        """Turn pending audio into entries."""
        if not self.pending:
            return
        arrived_ms = f"{time.time() * 1000:.1f}"
        block = bytes(self.pending)
        self.pending.clear()
        self._controls_here = 0
        most_bytes = ENTRY_MAX_BYTES - ENTRY_MAX_BYTES % self.frame_bytes
        for start in range(0, len(block), most_bytes):
            piece = block[start : start + most_bytes]
            self.written_samples += len(piece) // self.frame_bytes
            self._writer.enqueue(_Entry(self, self.written_samples, 0, None, (_AUDIO, piece, _ARRIVED, arrived_ms)))


class AudioWriter:
    """Writes the audio of all sessions of a process. Each shard of Redis has its own lane: while one fails over, the
    others go on."""

    def __init__(self, settings: Settings) -> None:
        self._redis = connect(settings, greet=self._greet)
        self._lanes: dict[Redis, _Lane] = {}

    @property
    def troubles(self) -> dict[Shard | None, str]:
        """Why shards currently reject writes, by `place_of`; empty while all accept them."""
        return {place_of(shard): lane.trouble for shard, lane in self._lanes.items() if lane.trouble is not None}

    def track(
        self,
        session_id: str,
        attachment: Attachment = Attachment(),  # noqa: B008 -- frozen
        tracks: int = 1,
    ) -> AudioTrack:
        return AudioTrack(self, session_id, attachment, tracks)

    def wake(self, track: AudioTrack) -> None:
        self._held(track).wake(track)

    def enqueue(self, entry: _Entry) -> None:
        entry.track.unwritten_entries += 1
        self._held(entry.track).enqueue(entry)

    async def flushed(self) -> None:
        """Wait until everything accepted so far is in Redis."""
        for lane in list(self._lanes.values()):
            await lane.flushed()

    async def run(self) -> None:
        """The writer's loops; runs until cancelled. If Redis is unavailable, writes are delayed and none is lost."""
        await on_each_shard(self._redis, lambda shard: self._lane(shard).run())

    async def close(self) -> None:
        await self._redis.aclose()

    def _held(self, track: AudioTrack) -> "_Lane":
        """The lane that has the track: until it hands it over, also if another shard has the session."""
        if track.lane is None:
            track.lane = self._lane_of(track)
        return track.lane

    def _lane_of(self, track: AudioTrack) -> "_Lane":
        return self._lane(shard_of(self._redis, keys.audio(track.session_id)))

    def _lane(self, shard: Redis) -> "_Lane":
        if shard not in self._lanes:
            self._lanes[shard] = _Lane(shard, self._lane_of)
        return self._lanes[shard]

    async def _greet(self, connection: AbstractConnection) -> None:
        """Repeat recent writes on a new connection. Raises Redis' errors; the connection is then not used."""
        await connection.on_connect()
        await self._lane(client_at(self._redis, connection)).repeat(connection)


class _Lane:
    """Writes the audio of the sessions of one shard, many entries in one call.

    While one call is in flight, entries for the next one collect, so each entry costs less under load. A lane has its
    own connection: whenever it reconnects, it first repeats its most recent writes (`recent`). A Redis that was
    killed may have lost them, and the streams must have no gap.
    """

    def __init__(self, shard: Redis, lane_of: Callable[[AudioTrack], "_Lane"]) -> None:
        self._lane_of = lane_of
        self._append = Script(shard, APPEND)
        self._joins = not is_of_cluster(shard)
        """Whether one script may write several sessions."""
        self._waiting: dict[AudioTrack, None] = {}
        self._queue: list[_Entry] = []
        """Entries that Redis has not confirmed."""
        self._recent: Recent[_Entry] = Recent()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self.trouble: str | None = None
        """Why Redis currently rejects writes; None while it accepts them."""

    def wake(self, track: AudioTrack) -> None:
        self._waiting[track] = None
        self._work.set()

    def enqueue(self, entry: _Entry) -> None:
        self._queue.append(entry)
        self._work.set()

    def take_over(self, track: AudioTrack, entries: list[_Entry]) -> None:
        track.lane = self
        self._queue += entries
        self.wake(track)

    async def flushed(self) -> None:
        for track in list(self._waiting):
            track.cut()
        while self._queue:
            self._idle.clear()
            await self._idle.wait()

    async def run(self) -> None:
        """The loop; runs until cancelled."""
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                self._collect()
                if self._queue:
                    left = len(self._queue)
                    while left > 0 and self._queue:
                        left -= await self._write(self._queue[: min(left, ENTRIES_PER_CALL)])
                    await asyncio.sleep(GATHER_S)
                if not self._queue:
                    self._idle.set()
                if self._waiting:
                    await self._wait_for_more()
        finally:
            self._hand_over()

    async def repeat(self, connection: AbstractConnection) -> None:
        entries = self._recent.entries()
        pieces = (entries[start : start + ENTRIES_PER_CALL] for start in range(0, len(entries), ENTRIES_PER_CALL))
        calls = [call for piece in pieces for call in self._calls(_by_track(piece))]
        await self._append.on_connection(connection, calls)

    async def _wait_for_more(self) -> None:
        """Small pieces are pending: wait `COALESCE_S` for more, unless a full entry arrives first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COALESCE_S):
                await self._work.wait()
        self._work.set()

    def _collect(self) -> None:
        now_s = time.monotonic()
        for track in list(self._waiting):
            if track.due(now_s):
                del self._waiting[track]
                track.cut()

    async def _write(self, entries: list[_Entry]) -> int:
        """Write the first entries of the queue; returns how many were written, none if Redis does not accept them."""
        by_track = _by_track(entries)
        try:
            found = answers(await self._append.many(self._calls(by_track)))
        except (RedisError, OSError) as error:
            if self.trouble is None:
                log.warning("audio_write_retrying", entries=len(entries), reason=str(error))
            self.trouble = str(error)
            await asyncio.sleep(RETRY_PAUSE_S)
            self._hand_over()
            return 0
        if self.trouble is not None:
            log.info("audio_write_recovered")
            self.trouble = None
        del self._queue[: len(entries)]
        self._settle(entries, by_track, found)
        return len(entries)

    def _settle(self, entries: list[_Entry], by_track: dict[AudioTrack, list[_Entry]], found: list[list[int]]) -> None:
        refused = found[0] if self._joins else [index for index, answer in enumerate(found) if answer]
        self._recent.add(entries, time.monotonic())
        for entry in entries:
            entry.track.unwritten_entries -= 1
        for index, (track, its_entries) in enumerate(by_track.items()):
            if index in refused:
                if track.on_refused is not None:
                    track.on_refused()
            elif track.on_stored is not None:
                track.on_stored(its_entries[-1].end_samples)

    def _hand_over(self) -> None:
        """Give sessions that another shard has now to its lane, with all that is still to be written."""
        with contextlib.suppress(RedisError):  # no shard has them now
            for track in dict.fromkeys((*(entry.track for entry in self._queue), *self._waiting)):
                lane = self._lane_of(track)
                if lane is not self:
                    lane.take_over(track, [entry for entry in self._queue if entry.track is track])
                    self._queue = [entry for entry in self._queue if entry.track is not track]
                    self._waiting.pop(track, None)
        if not self._queue:
            self.trouble = None

    def _calls(self, by_track: dict[AudioTrack, list[_Entry]]) -> list[Call]:
        if self._joins:
            return [_append_call(by_track)]
        return [_append_call({track: entries}) for track, entries in by_track.items()]


def _by_track(entries: Iterable[_Entry]) -> dict[AudioTrack, list[_Entry]]:
    found: dict[AudioTrack, list[_Entry]] = {}
    for entry in entries:
        found.setdefault(entry.track, []).append(entry)
    return found


def _append_call(by_track: dict[AudioTrack, list[_Entry]]) -> Call:
    """The call that writes these entries. It returns indices of tracks, in the order of the dictionary."""
    names: list[str] = []
    arguments: list[Any] = [STREAM_MAX_ENTRIES]
    for track, its_entries in by_track.items():
        names += (keys.session(track.session_id), keys.audio(track.session_id))
        arguments += (track.attachment.connection, len(its_entries))
        for entry in its_entries:
            number = "" if entry.number is None else entry.number
            arguments += (f"{entry.end_samples}-{entry.control}", number, len(entry.fields), *entry.fields)
    return names, arguments
