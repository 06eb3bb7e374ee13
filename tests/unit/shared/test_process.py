"""What a process tells of others."""

import pytest

from shared.process import how_ended


@pytest.mark.parametrize(
    ("exit_code", "how"),
    [(None, "status None"), (0, "status 0"), (70, "status 70"), (-9, "signal SIGKILL"), (-40, "signal 40")],
)
def test_how_a_process_ended(exit_code: int | None, how: str) -> None:
    assert how_ended(exit_code) == how
