"""The samples of a session that may still be needed."""

import numpy as np
import pytest

from worker.engines.speech.audio_buffer import AudioBuffer

SECOND = 16_000


@pytest.mark.parametrize("reuses_memory", [False, True])
def test_what_stays_is_what_was_appended(reuses_memory: bool) -> None:
    audio = AudioBuffer(100, reuses_memory=reuses_memory)
    samples = np.arange(20 * SECOND, dtype=np.float32)
    for at in range(0, len(samples), 1280):
        audio.append(samples[at : at + 1280])
        audio.forget_before(max(audio.start_samples, audio.end_samples - 2 * SECOND))
        start, end = audio.start_samples, audio.end_samples
        assert end - start <= 4 * SECOND
        assert np.array_equal(audio.between(start, end), samples[start - 100 : end - 100])


def test_memory_is_reused_but_not_that_of_a_long_backlog() -> None:
    audio = AudioBuffer(0, reuses_memory=True)
    audio.append(np.zeros(3 * SECOND, np.float32))
    kept = audio._kept
    audio.forget_before(2 * SECOND)
    assert audio._kept is kept
    audio.append(np.zeros(60 * SECOND, np.float32))
    audio.forget_before(60 * SECOND)
    assert len(audio._kept) <= 5 * SECOND
