"""Audio on its way from a frontend to a worker: one Redis stream per session, one writer per frontend process.

An entry's id is `{end position in samples}-{n}`. So a repeated write is refused by Redis, trimming behind a
position needs no look-up, and the stream itself tells how much audio has been received, even when it is empty.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from shared.bus import keys

ENTRY_MAX_BYTES: Final = 3200
"""100 ms of s16le at 16 kHz."""
ENTRY_MIN_BYTES: Final = 640
"""20 ms: smaller pieces wait for more, but never longer than `COALESCE_S`."""
COALESCE_S: Final = 0.02
GATHER_S: Final = 0.002
"""Pause behind each pipeline. An entry that comes alone does not wait; under load the next pipeline holds more."""
RETRY_PAUSE_S: Final = 0.25
_STREAM_MAX_ENTRIES: Final = 20_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AudioEntry:
    """One entry of an audio stream: PCM, or a control word between two pieces of it."""

    entry_id: bytes
    end_samples: int
    pcm: bytes
    """s16le, 16 kHz, mono; empty in a control entry."""
    control: str | None
    """`commit`, `end`, `detach`, `attach` or `configure`."""
    argument: bytes
    arrived_ms: float
    """Wall clock of the frontend when the last byte came."""


def parse_entry(entry_id: bytes, fields: Any) -> AudioEntry:
    """An entry as XREAD returns it; `fields` is a flat list or a dict by protocol version."""
    found = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    control = found.get(b"c")
    return AudioEntry(
        entry_id=entry_id,
        end_samples=int(entry_id.partition(b"-")[0]),
        pcm=found.get(b"a", b""),
        control=control.decode() if control is not None else None,
        argument=found.get(b"v", b""),
        arrived_ms=float(found.get(b"t", b"0")),
    )


class AudioTrack:
    """The audio of one session that waits to be written. Made by `AudioWriter.track`."""

    __slots__ = ("_controls_here", "_first_arrival_s", "_writer", "end_samples", "key", "pending", "written_samples")

    def __init__(self, writer: "AudioWriter", session_id: str, start_samples: int) -> None:
        self._writer = writer
        self._controls_here = 1  # the stream begins with one, `0-1`
        self._first_arrival_s = 0.0
        self.key = keys.audio(session_id)
        self.pending = bytearray()
        self.end_samples = start_samples
        """Position behind the last sample that was taken in, written or not."""
        self.written_samples = start_samples

    def append(self, pcm: bytes) -> None:
        """Take in s16le samples. They reach Redis within `COALESCE_S` and a round trip."""
        if not self.pending:
            self._first_arrival_s = time.monotonic()
        self.pending += pcm
        self.end_samples += len(pcm) // 2
        self._writer.wake(self)

    def control(self, word: str, argument: bytes = b"") -> None:
        """Place a control word behind all audio taken in so far."""
        self._cut_pending()
        self._controls_here += 1
        entry_id = f"{self.written_samples}-{self._controls_here}"
        self._writer.enqueue((self.key, entry_id, "c", word, "v", argument, "t", f"{time.time() * 1000:.1f}"))

    def due(self, now_s: float) -> bool:
        return len(self.pending) >= ENTRY_MIN_BYTES or now_s - self._first_arrival_s >= COALESCE_S

    def _cut_pending(self) -> None:
        """Turn what is pending into entries."""
        if not self.pending:
            return
        arrived_ms = f"{time.time() * 1000:.1f}"
        block = bytes(self.pending)
        self.pending.clear()
        self._controls_here = 0
        for start in range(0, len(block), ENTRY_MAX_BYTES):
            piece = block[start : start + ENTRY_MAX_BYTES]
            self.written_samples += len(piece) // 2
            self._writer.enqueue((self.key, f"{self.written_samples}-0", "a", piece, "t", arrived_ms))

    cut = _cut_pending


class AudioWriter:
    """Writes the audio of all sessions of a process, many entries in one pipeline.

    While one pipeline is on its way the next fills up, so the more there is to do, the less each entry costs.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: dict[str, AudioTrack] = {}
        self._queue: list[tuple[Any, ...]] = []
        self._in_flight = False
        self._work = asyncio.Event()
        self._idle = asyncio.Event()

    def track(self, session_id: str, start_samples: int = 0) -> AudioTrack:
        return AudioTrack(self, session_id, start_samples)

    def wake(self, track: AudioTrack) -> None:
        self._waiting[track.key] = track
        self._work.set()

    def enqueue(self, command: tuple[Any, ...]) -> None:
        self._queue.append(command)
        self._work.set()

    async def flushed(self) -> None:
        """Wait until everything taken in so far is in Redis."""
        for track in list(self._waiting.values()):
            track.cut()
        while self._queue or self._in_flight:
            self._idle.clear()
            await self._idle.wait()

    async def run(self) -> None:
        """The writer's loop; runs until cancelled. Redis' absence delays writing and loses nothing."""
        while True:
            await self._work.wait()
            self._work.clear()
            self._collect()
            if self._queue:
                batch, self._queue = self._queue, []
                self._in_flight = True
                await self._write(batch)
                self._in_flight = False
                await asyncio.sleep(GATHER_S)
            if not self._queue:
                self._idle.set()
            if self._waiting:
                await self._wait_for_more()

    async def _wait_for_more(self) -> None:
        """Small pieces are pending: give them `COALESCE_S`, unless real work comes first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COALESCE_S):
                await self._work.wait()
        self._work.set()

    def _collect(self) -> None:
        now_s = time.monotonic()
        for key, track in list(self._waiting.items()):
            if track.due(now_s):
                del self._waiting[key]
                track.cut()

    async def _write(self, batch: Sequence[tuple[Any, ...]]) -> None:
        remaining = list(batch)
        while remaining:
            pipe = self._redis.pipeline(transaction=False)
            for key, entry_id, *fields in remaining:
                pipe.execute_command("XADD", key, "NOMKSTREAM", "MAXLEN", "~", _STREAM_MAX_ENTRIES, entry_id, *fields)
            try:
                replies = await pipe.execute(raise_on_error=False)
            except (RedisError, OSError) as error:
                log.warning("audio_write_delayed", entries=len(remaining), reason=str(error))
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            remaining = [entry for entry, reply in zip(remaining, replies, strict=True) if _must_retry(reply)]
            if remaining:
                log.warning("audio_write_refused", entries=len(remaining))
                await asyncio.sleep(RETRY_PAUSE_S)


def _must_retry(reply: object) -> bool:
    """Redis may be out of memory or read-only for a while. An id that exists was written before."""
    return isinstance(reply, ResponseError) and "equal or smaller" not in str(reply)
