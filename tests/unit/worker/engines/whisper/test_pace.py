"""How often partials of live sessions are due."""

import pytest

from worker.engines.whisper.pace import interval_ms
from worker.engines.whisper.settings import WhisperSettings

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
