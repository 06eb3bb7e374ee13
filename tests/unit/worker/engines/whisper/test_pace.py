"""How often partials of live sessions are due, and what is tried at the start."""

import pytest

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import Mode
from worker.engines.base import EngineInfo
from worker.engines.whisper.batches import gpu_limits
from worker.engines.whisper.pace import interval_ms, warm_up
from worker.engines.whisper.settings import WhisperSettings
from worker.engines.whisper.sizes import LARGE

GPU = EngineInfo("whisper", "whisper-large-v3", "cuda:0", "float16", (Mode.TRANSCRIBE,), ("en",), 16)
SETTINGS = WhisperSettings(partial_interval_ms=280.0, load_share=1.5)


@pytest.mark.parametrize(
    ("step_ms", "speaking", "at_once", "expected_ms"),
    [
        pytest.param(100, 1, 2, 280, id="an idle machine"),
        pytest.param(400, 1, 2, 600, id="a slow pass"),
        pytest.param(200, 8, 2, 1200, id="eight speakers, two at a time"),
        pytest.param(200, 7, 2, 1200, id="the last step may have one"),
        pytest.param(200, 8, 32, 300, id="all in one batch"),
        pytest.param(200, 0, 2, 300, id="the last speaker has stopped"),
    ],
)
def test_intervals_grow_with_the_work_for_all_speakers(
    step_ms: float, speaking: int, at_once: int, expected_ms: float
) -> None:
    assert interval_ms(step_ms, speaking, at_once, SETTINGS) == expected_ms


def test_warm_up_of_a_gpu_tries_the_largest_batches() -> None:
    """Of short windows and of the longest, so that too little memory is found at the start."""
    runs: list[list[float]] = []
    limits = gpu_limits(LARGE)
    warm_up(lambda jobs: runs.append([len(job.pcm) / SAMPLE_RATE_HZ for job in jobs]), GPU, limits)
    assert runs == [[8.0] * 32, [30.0] * limits.most(30.0)]
    assert len(runs[1]) == 10
