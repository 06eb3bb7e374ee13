"""Two marks: writing pauses at the high one and resumes at the low one."""

import pytest

from frontend.sessions.backpressure import Backpressure


def test_writing_pauses_at_the_high_mark_and_resumes_at_the_low_one() -> None:
    pressure = Backpressure(high=10, low=4)
    levels = [(9, False), (10, True), (12, True), (5, True), (4, False), (9, False), (10, True)]
    assert [pressure.update(level) for level, _ in levels] == [paused for _, paused in levels]


@pytest.mark.parametrize(("high", "low"), [(4, 4), (4, 5), (4, -1)])
def test_marks_that_cannot_hold_are_rejected(high: int, low: int) -> None:
    with pytest.raises(ValueError, match="0 <= low < high"):
        Backpressure(high=high, low=low)
