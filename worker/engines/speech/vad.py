"""The probability that each 32 ms of audio is speech: Silero, as shipped with faster-whisper, on one thread.

Measured per window on one core: 0.22 ms alone, 0.06 ms in a run of several. Its recurrent state has no batch dimension,
so windows are batched over time, one session at a time; measured, a live session costs 0.7 % of a core, and 0.3 % in
digital silence, which is not passed to the network.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from worker.engines.loading.faster_whisper_internals import SILERO_VAD
from worker.engines.speech.bandwidth import Bandwidth
from worker.engines.speech.levels import Levels
from worker.onnx_networks import load_network

WINDOW_SAMPLES = 512
CONTEXT_SAMPLES = 64
"""The network's input includes the end of the previous window."""
STATE_SHAPE = (1, 1, 128)
QUIET_PEAK = 0.0008
"""About -62 dBFS: a window that never exceeds it is silence, whatever the network's result would be."""
ATTENUATION = 0.05
"""The network misses loud speech over a telephone, so narrow-band audio is also processed 26 dB lower. Measured on six
recordings of real voices as a telephone carries them, with peaks of full scale: 63 instead of 24 % of their windows of
speech have a probability of 0.5 or more, 80 instead of 67 % have 0.3 or more."""
MIN_UNALTERED = 0.2
"""The attenuated audio counts only where the unaltered audio has at least this probability, at which a segment of live
speech continues. Pauses therefore stay as they are, and so does noise (measured with eight kinds). With 0.15, more
words are right in those recordings, and fewer in others."""


@dataclass(slots=True)
class Memory:
    """The recurrent state of the network."""

    hidden: NDArray[np.float32] = field(default_factory=lambda: np.zeros(STATE_SHAPE, np.float32))
    cell: NDArray[np.float32] = field(default_factory=lambda: np.zeros(STATE_SHAPE, np.float32))


@dataclass(slots=True)
class Altered:
    """The state for a copy of the audio at another level."""

    memory: Memory = field(default_factory=Memory)
    goes_on: bool = False
    """Whether the last window was processed at it."""


@dataclass(slots=True)
class VadState:
    """The state of one session."""

    as_it_is: Memory = field(default_factory=Memory)
    amplified: Altered = field(default_factory=Altered)
    """For audio that is too quiet."""
    attenuated: Altered = field(default_factory=Altered)
    """For narrow-band audio."""
    levels: Levels = field(default_factory=Levels)
    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    context: NDArray[np.float32] = field(default_factory=lambda: np.zeros(CONTEXT_SAMPLES, np.float32))


class SileroVad:
    """One network for all sessions; each has its own `VadState`."""

    def __init__(self) -> None:
        self._network = load_network(str(SILERO_VAD), keeps_memory=False)

    def probabilities(
        self, state: VadState, pcm: NDArray[np.float32], ahead: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Speech probability of each window of `pcm`, `[windows × WINDOW_SAMPLES]`; updates `state`.

        `ahead`: the audio after it, as far as it counts for the level. The result does not depend on how audio is split
        over several calls. Audio that is too quiet is also processed amplified, until it is loud again, and narrow-band
        audio attenuated. Other audio gives the same result as the network alone.
        """
        windows = pcm.reshape(-1, WINDOW_SAMPLES)
        if not len(windows):
            return np.zeros(0, np.float32)
        before = np.vstack([state.context[None], windows[:-1, -CONTEXT_SAMPLES:]])
        state.context = windows[-1, -CONTEXT_SAMPLES:].copy()
        frames = np.concatenate([before, windows], axis=1)
        loudest = peaks(pcm)
        gains = state.levels.hear(loudest, None if ahead is None else peaks(ahead))
        result = self._run(state.as_it_is, frames, loudest)
        amplified = self._run_where(gains > 1, state.amplified, frames, gains, loudest * gains)
        factors = np.full(len(windows), ATTENUATION, np.float32)
        attenuated = self._run_where(state.bandwidth.hear(windows), state.attenuated, frames, factors, loudest)
        attenuated[result < MIN_UNALTERED] = 0
        return np.maximum(np.maximum(result, amplified), attenuated)

    def _run_where(
        self,
        mask: NDArray[np.bool_],
        altered: Altered,
        frames: NDArray[np.float32],
        factors: NDArray[np.float32],
        window_peaks: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Speech probabilities of the frames in the mask, each times its factor; 0 for the others.

        `window_peaks` decide what is silence.
        """
        result = np.zeros(len(frames), np.float32)
        for start, end in _runs(mask):
            if start or not altered.goes_on:
                altered.memory = Memory()
            changed = frames[start:end] * factors[start:end, None]
            result[start:end] = self._run(altered.memory, changed, window_peaks[start:end])
        altered.goes_on = bool(mask[-1])
        return result

    def _run(
        self, memory: Memory, frames: NDArray[np.float32], window_peaks: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Speech probabilities of successive frames, each a window preceded by the end of the previous one."""
        result = np.zeros(len(frames), np.float32)
        audible = window_peaks > QUIET_PEAK
        if audible.any():
            speech, memory.hidden, memory.cell = self._network.run(
                None, {"input": frames[audible], "h": memory.hidden, "c": memory.cell}
            )
            result[audible] = speech.reshape(-1)
        return result


def peaks(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """The peak of each whole window."""
    whole = len(pcm) - len(pcm) % WINDOW_SAMPLES
    found: NDArray[np.float32] = np.abs(pcm[:whole].reshape(-1, WINDOW_SAMPLES)).max(axis=1, initial=0.0)
    return found


def _runs(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The start and end of each run in a mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    for start, end in edges.reshape(-1, 2):
        yield int(start), int(end)
