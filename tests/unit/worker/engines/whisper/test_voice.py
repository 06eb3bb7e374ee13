import numpy as np

from shared.events import SAMPLE_RATE_HZ
from worker.engines.speech.vad import WINDOW_SAMPLES
from worker.engines.whisper.voice import Voice


def voice(*probabilities: float, start_samples: int = 0) -> Voice:
    heard = Voice()
    heard.hear(start_samples, np.array(probabilities, np.float32), 0.3)
    return heard


def windows(count: float) -> int:
    return round(count * WINDOW_SAMPLES)


def test_only_windows_with_a_voice_count() -> None:
    heard = voice(0.0, 0.9, 0.29, 0.3, 0.9, 0.1)
    assert heard.seconds(0, windows(6)) * SAMPLE_RATE_HZ == windows(3)
    assert heard.seconds(windows(4), windows(6)) * SAMPLE_RATE_HZ == windows(1), "one ends where it starts"
    assert heard.seconds(windows(5.5), windows(6)) == 0
    assert heard.seconds(windows(6), windows(2)) == 0


def test_end_before_is_the_end_of_the_last_voice() -> None:
    heard = voice(0.0, 0.9, 0.0, 0.9, start_samples=WINDOW_SAMPLES)
    assert heard.end_before(windows(2)) is None
    assert heard.end_before(windows(4.5)) == windows(3)
    assert heard.end_before(windows(9)) == windows(5)


def test_start_after_is_where_the_next_voice_starts() -> None:
    heard = voice(0.9, 0.0, 0.0, 0.9)
    assert heard.start_after(0) == 0
    assert heard.start_after(windows(0.5)) == windows(0.5), "there is voice"
    assert heard.start_after(windows(1)) == heard.start_after(windows(2.5)) == windows(3)
    assert heard.start_after(windows(4)) == windows(4), "there is no more"


def test_voice_lies_before_a_position_if_half_of_it_does() -> None:
    heard = voice(0.9, 0.9, 0.0, 0.0, 0.9, 0.9)
    assert heard.lies_before(windows(3), 0, windows(6))
    assert heard.lies_before(windows(3), 0, windows(5))
    assert not heard.lies_before(windows(3), windows(1.5), windows(6))
    assert heard.lies_before(windows(4), windows(2), windows(4)), "there is no voice"
    assert heard.lies_before(windows(5), windows(3), windows(6)), "as much before as after it"


def test_successive_probabilities_add_up_and_can_be_forgotten() -> None:
    heard = voice(0.9, 0.9)
    heard.hear(windows(2), np.array([0.0, 0.9], np.float32), 0.3)
    assert heard.seconds(0, windows(4)) * SAMPLE_RATE_HZ == windows(3)
    heard.forget_before(windows(2))
    assert heard.seconds(0, windows(4)) * SAMPLE_RATE_HZ == windows(1)
    assert heard.end_before(windows(2)) is None
