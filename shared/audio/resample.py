"""Resamples any rate to 16 kHz, chunk by chunk, with little delay.

It uses the variable-rate engine of libsoxr at a fixed ratio, because of its delay. Measured (soxr 1.1.0, audio
that is held back during streaming, in milliseconds; response relative to the lower Nyquist frequency):

    ======  =====  =====  =====  =====  =====================================================================
    engine   8000  11025  24000  44100  quality
    ======  =====  =====  =====  =====  =====================================================================
    HQ        115     84     37     40  flat to 0.9, aliases below -130 dB
    MQ        118     85     38     41  flat to 0.9, aliases below -110 dB
    LQ         61      2     20     22  -2 dB at 0.8, -20 dB at 0.9: the consonants of telephone speech suffer
    QQ          0      0      0      0  no filter: aliases pass unhindered
    VR         30     22     10     14  flat to 0.9, aliases below -74 dB (at 8.1 kHz), below -110 dB elsewhere
    ======  =====  =====  =====  =====  =====================================================================

The fixed-ratio engines convolve by FFT blocks and hold a block back; this one computes every sample as soon as the
taps of its filter are available. It costs 0.3 % of a core per live stream at 48 kHz (the others 0.04 %), does not
depend on how the audio was chunked, and shifts the audio by at most 0.12 ms.
"""

import numpy as np
import soxr

from shared.audio.pcm import Samples
from shared.events import SAMPLE_RATE_HZ


class Resampler:
    """Resamples mono audio of one sample rate to 16 kHz; 16 kHz itself is not changed.

    All outputs joined are identical, bit for bit, however the input was chunked.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._taken_samples = self._given_samples = 0
        """Samples fed and samples returned so far (each at its own rate)."""
        self._engine = (
            None
            if sample_rate_hz == SAMPLE_RATE_HZ
            else soxr.ResampleStream(sample_rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ", vr=True)
        )

    def feed(self, samples: Samples) -> Samples:
        """The samples that are final: float32 [samples] at 16 kHz, empty while the filter fills."""
        if self._engine is None or not len(samples):
            return samples
        settled: Samples = self._engine.resample_chunk(np.ascontiguousarray(samples))
        self._taken_samples += len(samples)
        self._given_samples += len(settled)
        return settled

    def finish(self) -> Samples:
        """The remaining samples. The whole output is as long as the input, to the nearest sample."""
        empty = np.zeros(0, np.float32)
        if self._engine is None:
            return empty
        rest: Samples = self._engine.resample_chunk(empty, last=True)
        # The engine itself ends up to two samples early or late.
        whole = round(self._taken_samples * SAMPLE_RATE_HZ / self._sample_rate_hz)
        expected = max(0, whole - self._given_samples)
        return np.pad(rest[:expected], (0, max(0, expected - len(rest))))
