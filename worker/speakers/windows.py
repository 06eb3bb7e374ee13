"""Cuts the speech of a session into windows that are embedded: 1.6 s every 0.4 s, and none across a pause.

A turn that is shorter than a window has one window of its own length. Pure, except for the network that finds speech.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.engines.speech.vad import WINDOW_SAMPLES, SileroVad, VadState
from worker.speakers.sizes import LENGTH_SAMPLES, SHORTEST_SAMPLES, STEP_SAMPLES

PAUSE_SAMPLES: Final = 8 * WINDOW_SAMPLES
"""A pause of 0.26 s ends a stretch: speakers seldom take turns faster without overlapping."""
_SPEECH: Final = 0.15
"""Low, because the network gives speech of telephone lines low probabilities. Noise between words does no harm."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    start_samples: int
    pcm: Floats

    @property
    def end_samples(self) -> int:
        return self.start_samples + len(self.pcm)


class SpeechWindows:
    """The windows of one session. Feed its audio without gaps."""

    def __init__(self, vad: SileroVad, start_samples: int) -> None:
        self._vad = vad
        self._state = VadState()
        self._fed = np.zeros(0, np.float32)
        """Audio after `_at` that is shorter than a window of the VAD."""
        self._at = start_samples
        self._stretch: list[Floats] = []
        self._stretch_start = start_samples
        self._length = 0
        self._quiet = 0
        """Samples without speech at the end of the stretch."""
        self._next = 0
        """Where the next window of the stretch starts."""

    @property
    def at_samples(self) -> int:
        """The position up to which audio was fed."""
        return self._at + len(self._fed)

    def is_open_before(self, position_samples: int) -> bool:
        """Whether speech that has not ended began before a position."""
        return bool(self._stretch) and self._stretch_start < position_samples

    def feed(self, pcm: Floats) -> list[Window]:
        """The windows that are complete now."""
        pcm = np.concatenate([self._fed, pcm])
        whole = len(pcm) - len(pcm) % WINDOW_SAMPLES
        self._fed = pcm[whole:]
        pieces = pcm[:whole].reshape(-1, WINDOW_SAMPLES)
        windows: list[Window] = []
        for piece, speech in zip(pieces, self._vad.probabilities(self._state, pcm[:whole]), strict=True):
            windows += self._take(piece, is_speech=bool(speech > _SPEECH))
            self._at += WINDOW_SAMPLES
        return windows

    def end_stretch(self) -> list[Window]:
        """The last window of the open stretch, which ends here."""
        pcm = np.concatenate(self._stretch)[: self._length - self._quiet] if self._stretch else np.zeros(0, np.float32)
        covered = self._next - STEP_SAMPLES + LENGTH_SAMPLES if self._next else 0
        start = max(0, len(pcm) - LENGTH_SAMPLES)
        found = Window(self._stretch_start + start, pcm[start:])
        is_new = len(pcm) >= SHORTEST_SAMPLES and len(pcm) - covered > STEP_SAMPLES // 4
        self._stretch, self._length, self._quiet, self._next = [], 0, 0, 0
        return [found] if is_new else []

    def _take(self, piece: Floats, *, is_speech: bool) -> list[Window]:
        if not self._stretch and not is_speech:
            return []
        if not self._stretch:
            self._stretch_start = self._at
        self._stretch.append(piece)
        self._length += len(piece)
        self._quiet = 0 if is_speech else self._quiet + len(piece)
        if self._quiet >= PAUSE_SAMPLES:
            return self.end_stretch()
        if self._length - self._quiet < self._next + LENGTH_SAMPLES:
            return []
        pcm = np.concatenate(self._stretch)
        found = Window(self._stretch_start + self._next, pcm[self._next : self._next + LENGTH_SAMPLES])
        self._next += STEP_SAMPLES
        self._forget()
        return [found]

    def _forget(self) -> None:
        """Keep one window before the end of a long stretch."""
        while self._next > LENGTH_SAMPLES + len(self._stretch[0]):
            gone = len(self._stretch.pop(0))
            self._stretch_start += gone
            self._length -= gone
            self._next -= gone
