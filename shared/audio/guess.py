"""Guesses whether raw samples without a declared encoding are s16le or float32, only by the samples."""

import numpy as np

_LEAST_PLAUSIBLE = 2.0**-40
"""The quietest magnitude that counts as signal: 240 dB below full scale, far under the last bit of 32-bit audio."""

_BLOCK_BYTES = 1 << 20


def guess_raw(payload: bytes) -> str:
    """`pcm_f32le` or `pcm_s16le`, for raw samples without a declared encoding.

    The rule of the protocol: samples that are all finite and within ±1 when read as little-endian float32 are float32.
    This rule alone would misjudge some s16le audio. The high half of such a "float" is every second s16 sample, and
    its bits 7 to 14 are the exponent: 0 to 127 gives a denormal, up to 16256 a magnitude of 2^-127 to 1, so that
    all is within ±1 when every second sample is silent or positive and not too loud (digital silence, dither of 0
    and 1, a positive offset, stereo with one silent channel). Small negative samples exclude ordinary audio: -128 to -1
    reads as NaN or infinity. Therefore at least half of the non-zero values must also be of a size that sound has
    (`_LEAST_PLAUSIBLE`); for s16le this would require that half of every second sample is in 11136..16256 or
    below -16512 and none elsewhere below zero. Real float audio always passes: 24-bit audio is at least 2^-23.
    All zeros, and payloads that are a whole number of s16le samples and not of floats, are s16le. An incomplete sample
    is ignored.
    """
    if len(payload) % 4 == 2:
        return "pcm_s16le"
    nonzero = plausible = 0
    view = memoryview(payload)[: len(payload) - len(payload) % 4]
    with np.errstate(invalid="ignore"):
        for start in range(0, len(view), _BLOCK_BYTES):
            magnitudes = np.abs(np.frombuffer(view[start : start + _BLOCK_BYTES], "<f4"))
            # NaN compares as false, so it fails here too.
            if not (magnitudes <= 1.0).all():
                return "pcm_s16le"
            nonzero += int(np.count_nonzero(magnitudes))
            plausible += int(np.count_nonzero(magnitudes >= _LEAST_PLAUSIBLE))
    return "pcm_f32le" if nonzero and 2 * plausible >= nonzero else "pcm_s16le"
