"""Telephone lines are recognised by what they do not pass on."""

import numpy as np
import soxr

from tests.speech import SENTENCES, synthesise
from worker.speakers.bandwidth import Bandwidth


def test_speech_through_a_telephone_line_is_narrow() -> None:
    wide = synthesise(SENTENCES[0])
    narrow = np.asarray(soxr.resample(soxr.resample(wide, 16_000, 8_000), 8_000, 16_000), np.float32)
    found = []
    for pcm in (wide, narrow):
        bandwidth = Bandwidth()
        bandwidth.hear(pcm[:25_600])
        found.append(bandwidth.is_narrow)
    assert found == [False, True]
