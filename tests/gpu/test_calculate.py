"""What is calculated for cards is what the documentation says, and cannot be faster than the card."""

from pathlib import Path

import pytest

from tests.gpu.calculate import CARDS, LAUNCHES, calculated, launches, markdown, rows, within
from tests.gpu.cards import Card
from tests.stack import PROJECT
from worker.engines.voxtral_realtime.calibration import LIMIT_MS


def test_documentation_has_the_calculated_rows() -> None:
    page = (Path(PROJECT) / "docs/models.md").read_text()
    for line in markdown():
        assert line in page, "write the lines of `python -m tests.gpu.calculate --markdown` into docs/models.md"


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_pass_takes_longer_than_its_floor_and_longer_with_more_sessions(card: Card) -> None:
    one, two, many = (calculated(card, sessions, 2048) for sessions in (1, 2, 100))
    assert one.floor_s < one.total_s < two.total_s < many.total_s
    assert calculated(card, 1, 8192).total_s > one.total_s


def test_sessions_are_those_that_memory_and_time_allow() -> None:
    for row in rows():
        assert 0 < row["sessions"] <= row["memory for"]
        assert row["all ms"] <= LIMIT_MS
    assert within(CARDS[0], 2048, most=10_000) < 10_000


def test_kernels_are_counted_at_the_published_shape() -> None:
    assert launches() == LAUNCHES, "write what `python -m tests.gpu.calculate --count` says into tests/gpu/calculate.py"
