"""The newest audio of a session is kept until its finals exist, and never more than the limit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.second_pass.kept_audio import MAX_KEPT_SAMPLES, KeptAudio

START = 1000


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(0, 400), st.integers(0, 400), st.integers(0, 400))
def test_every_kept_part_is_the_audio_itself(sizes: list[int], forgotten: int, start: int, length: int) -> None:
    audio, kept = np.arange(sum(sizes), dtype=np.int16), KeptAudio(START)
    for size, end in zip(sizes, np.cumsum([0, *sizes])[1:], strict=True):
        kept.append(audio[end - size : end])
    kept.forget_before(START + forgotten)
    assert kept.start_samples <= START + max(forgotten, 0)
    part = kept.between(START + start, START + start + length)
    if part is None:
        is_inside = START + start >= kept.start_samples and start + length <= len(audio)
        assert not is_inside or not length
    else:
        assert part.tolist() == audio[start : start + length].tolist()


def test_old_audio_is_dropped_and_skipped_audio_is_not_kept() -> None:
    kept = KeptAudio(0)
    for _ in range(3):
        kept.append(np.ones(MAX_KEPT_SAMPLES // 2, np.int16))
    assert kept.start_samples == MAX_KEPT_SAMPLES // 2
    kept.skip(16_000)
    assert kept.between(0, 1) is None
    end_samples = 3 * (MAX_KEPT_SAMPLES // 2) + 16_000
    kept.append(np.ones(2, np.int16))
    assert kept.between(end_samples, end_samples + 2) is not None
