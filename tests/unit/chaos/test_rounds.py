"""How long a session is silent during a fault."""

import pytest

from tests.chaos.rounds import longest_silence_s

HEARD_AT_S = [1.0, 1.5, 4.0, 4.2, 9.0]


@pytest.mark.parametrize(
    ("span_s", "silence_s"),
    [((1.1, 1.2), 0.5), ((1.4, 1.6), 2.5), ((2.0, 4.1), 2.5), ((3.9, 4.3), 4.8), ((9.5, 10.0), 0.0), ((0.0, 0.9), 0.0)],
)
def test_silence_is_the_longest_that_the_fault_touches(span_s: tuple[float, float], silence_s: float) -> None:
    assert longest_silence_s(HEARD_AT_S, *span_s) == pytest.approx(silence_s)
