"""The messages that a live session of the Python client sends, kept until the server has them.

Audio and control messages share one queue. What was sent stays in it until the server reports that its audio is safe;
after a loss, sending starts again from there. Does no I/O.

The server counts samples at 16 kHz, whatever rate is sent. At 16 kHz the position to continue from is exact; at another
rate it is the sample that contains that position, so a loss costs or doubles less than one sample (125 µs at 8 kHz) and
the times of later words do not drift.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from voxtral_client.messages import encoded
from voxtral_client.wire import CONTAINER, SAMPLE_BYTES, SAMPLE_RATE_HZ

KEEP_S = 30.0
"""Audio kept that the server has not confirmed, or the time in which a session can be resumed if that is longer.

At this amount the outbox is full, until half of it is confirmed."""
CONTAINER_BYTES = 32 << 20
"""The same for a container, whose bytes may hold any number of seconds."""
PIECE_BYTES = 32 * 1024


class AudioForgottenError(Exception):
    """The server needs audio that was confirmed and is no longer kept."""


@dataclass(frozen=True, slots=True)
class Control:
    """A control message of the session. With its number the server executes it once, however often it is sent."""

    number: int
    text: str
    """The message as JSON."""


@dataclass(frozen=True, slots=True)
class _Item:
    start_bytes: int
    """Bytes of audio before it, since the session began."""
    content: bytes | Control

    @property
    def end_bytes(self) -> int:
        return self.start_bytes + (len(self.content) if isinstance(self.content, bytes) else 0)


class Outbox:
    """`encoding`, `sample_rate` (Hz) and `channels` are those of the session's audio."""

    def __init__(
        self, encoding: str = "pcm_s16le", sample_rate: int = SAMPLE_RATE_HZ, channels: int | None = None
    ) -> None:
        self._frame_bytes = SAMPLE_BYTES.get(encoding, 1) * (channels or 1)
        self._sample_rate = sample_rate
        self._is_container = encoding == CONTAINER
        self._limit_bytes = 0
        self.keep_for(KEEP_S)
        self.is_full = False
        """Whether it rejects audio."""
        self._sent: deque[_Item] = deque()
        self._unsent: deque[_Item] = deque()
        self._end_bytes = 0
        self._numbers = 0
        self._closed = False
        self._work = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def kept_bytes(self) -> int:
        """Audio that the server has not confirmed."""
        kept = self._sent or self._unsent
        return self._end_bytes - kept[0].start_bytes if kept else 0

    @property
    def is_whole(self) -> bool:
        """Whether it still holds everything that was ever put into it."""
        return self.kept_bytes == self._end_bytes

    def keep_for(self, resume_timeout_s: float) -> None:
        """Make room for this much audio: a session can be resumed within this time."""
        keep_s = max(KEEP_S, resume_timeout_s)
        self._limit_bytes = (
            CONTAINER_BYTES if self._is_container else int(keep_s * self._sample_rate) * self._frame_bytes
        )

    async def put(self, audio: bytes) -> None:
        """Add audio, cut anywhere. Waits for room; if cancelled, the audio that did not fit is not added."""
        for start in range(0, len(audio), PIECE_BYTES):
            piece = bytes(audio[start : start + PIECE_BYTES])
            while not self.take_in(piece):
                self._room.clear()
                await self._room.wait()

    def take_in(self, piece: bytes) -> bool:
        """Add a piece of audio, unless the outbox is full. Returns whether it was added."""
        self._measure()
        if self.is_full:
            return False
        self._add(piece)
        self._end_bytes += len(piece)
        return True

    def put_control(self, message: dict[str, Any]) -> None:
        """Add a control message after all audio so far. Raises TypeError for a value that JSON cannot hold."""
        number = self._numbers + 1
        self._add(Control(number, encoded(message | {"number": number})))
        self._numbers = number

    def close(self) -> None:
        """Stop using the outbox: waiting callers return, and new content is dropped."""
        self._closed = True
        self._sent.clear()
        self._unsent.clear()
        self._measure()

    async def next(self) -> bytes | Control:
        """The next content to send; waits for it. It is kept until it is confirmed."""
        while not self._unsent:
            self._work.clear()
            await self._work.wait()
        item = self._unsent.popleft()
        self._sent.append(item)
        return item.content

    def confirm(self, received_samples: int) -> None:
        """The server has all audio before this position, and so each control message sent before its end.

        For a container the matching byte is not known, so nothing that was sent is kept for another connection.
        """
        if self._is_container:
            self._sent.clear()
            self._measure()
            return
        safe_bytes = self._position_bytes(received_samples)
        while self._sent and (self._sent[0].end_bytes < safe_bytes or self._is_audio_until(self._sent[0], safe_bytes)):
            self._sent.popleft()
        self._measure()

    def rewind(self, received_samples: int, number: int) -> None:
        """Send again everything that the server does not have.

        `number` is that of the last control message that it has. Raises AudioForgottenError.
        """
        safe_bytes = min(self._position_bytes(received_samples), self._end_bytes)
        if safe_bytes < self._end_bytes - self.kept_bytes:
            raise AudioForgottenError
        again: deque[_Item] = deque()
        for item in (*self._sent, *self._unsent):
            if isinstance(item.content, Control):
                if item.content.number > number:
                    again.append(item)
            elif item.end_bytes > safe_bytes:
                cut_bytes = max(0, safe_bytes - item.start_bytes)
                again.append(_Item(item.start_bytes + cut_bytes, item.content[cut_bytes:]))
        self._sent.clear()
        self._unsent = again
        self._measure()
        self._work.set()

    def _measure(self) -> None:
        self.is_full = self.kept_bytes >= (self._limit_bytes / 2 if self.is_full else self._limit_bytes)
        if not self.is_full:
            self._room.set()

    def _add(self, content: bytes | Control) -> None:
        if not self._closed:
            self._unsent.append(_Item(self._end_bytes, content))
            self._work.set()

    def _position_bytes(self, position_samples: int) -> int:
        return position_samples * self._sample_rate // SAMPLE_RATE_HZ * self._frame_bytes

    @staticmethod
    def _is_audio_until(item: _Item, safe_bytes: int) -> bool:
        return isinstance(item.content, bytes) and item.end_bytes <= safe_bytes
