"""The tracks of a call, which arrive as packets with times, as interleaved channels. Pure.

Each packet is placed at its time, so that the channels are aligned. Packets may arrive in another order: a missing one
delays the others a little. Silence fills gaps, and a track that sends nothing while another one does. Audio is never
dropped: a packet whose place has been sent already follows the audio before it.
"""

from dataclasses import dataclass, field
from typing import Final

RATE_HZ: Final = 8000
SILENCE: Final = {"pcmu": b"\xff", "pcma": b"\xd5"}
"""The sample of silence by encoding. A sample is one byte."""
WAIT_SAMPLES: Final = RATE_HZ // 4
"""How long a missing packet, or a track without packets, delays the others."""
JITTER_SAMPLES: Final = RATE_HZ // 100
"""A packet that begins so close to the end of the one before follows it: times are whole milliseconds."""
MAX_GAP_SAMPLES: Final = 60 * RATE_HZ
"""A longer gap is not filled: the time of the packet is wrong."""


@dataclass(slots=True)
class _Track:
    silence: bytes
    start: int = 0
    """The position of the first sample that has not been sent, in samples since the call began; so are the others."""
    audio: bytearray = field(default_factory=bytearray)
    """From `start` on."""
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Where packets are missing so far, in order: begin and end. `audio` is silent there."""

    @property
    def end(self) -> int:
        return self.start + len(self.audio)

    @property
    def complete(self) -> int:
        """The position up to which no packet is missing."""
        return self.gaps[0][0] if self.gaps else self.end

    def place(self, packet: bytes, at: int) -> None:
        end = self.end
        if at < end - JITTER_SAMPLES and self._fill(packet, at):
            return
        if JITTER_SAMPLES < at - end <= MAX_GAP_SAMPLES:
            self.gaps.append((end, at))
            self.audio += self.silence * (at - end)
        self.audio += packet

    def take(self, until: int) -> bytes:
        """The audio up to there, with silence where it is missing."""
        self.audio += self.silence * (until - self.end)
        count = until - self.start
        taken = bytes(self.audio[:count])
        del self.audio[:count]
        self.start = until
        self.gaps = [(max(begin, until), end) for begin, end in self.gaps if end > until]
        return taken

    def _fill(self, packet: bytes, at: int) -> bool:
        """Put a packet into the gap that it belongs to. False if there is none."""
        for index, (begin, end) in enumerate(self.gaps):
            at_begin = begin if abs(at - begin) <= JITTER_SAMPLES else at
            over = at_begin + len(packet) - end
            if begin <= at_begin < end and over <= JITTER_SAMPLES:
                filled = packet[: len(packet) - max(over, 0)]
                after = at_begin + len(filled)
                self.audio[at_begin - self.start : after - self.start] = filled
                parts = ((begin, at_begin), (after, end))
                self.gaps[index : index + 1] = [part for part in parts if part[0] < part[1]]
                return True
        return False


class Tracks:
    """Audio of `names`, in this order, at `RATE_HZ`."""

    def __init__(self, names: tuple[str, ...], encoding: str) -> None:
        """`encoding` is a key of `SILENCE`."""
        self._tracks = {name: _Track(SILENCE[encoding]) for name in names}
        self._sent = 0

    def feed(self, name: str, packet: bytes, time_ms: int | None) -> bytes:
        """Add a packet of a track; returns the interleaved samples that are complete now.

        Without a time it follows the packet before.
        """
        track = self._tracks[name]
        track.place(packet, track.end if time_ms is None else time_ms * RATE_HZ // 1000)
        complete = min(one.complete for one in self._tracks.values())
        return self._interleaved(max(self._sent, complete, self._furthest - WAIT_SAMPLES))

    def rest(self) -> bytes:
        """The remaining samples, when the call has ended."""
        return self._interleaved(self._furthest)

    @property
    def _furthest(self) -> int:
        return max(track.end for track in self._tracks.values())

    def _interleaved(self, until: int) -> bytes:
        mixed = bytearray((until - self._sent) * len(self._tracks))
        for index, track in enumerate(self._tracks.values()):
            mixed[index :: len(self._tracks)] = track.take(until)
        self._sent = until
        return bytes(mixed)
