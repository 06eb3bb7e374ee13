"""When a worker may stop: as soon as other workers have room for its sessions."""

import pytest

from compose.successor import can_stop
from tests.unit.reports import report

OWN = report("m", 1, id="own", host="here")


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ((), False),
        ((report("m", 0, host="there"),), True),
        ((report("m", 1, host="there"),), True),
        ((report("m", 2, host="there"),), False),
        ((report("m", 0, host="there", draining=True),), False),
        ((report("m", 0, host="there", overloaded=True),), False),
        ((report("other", 0, host="there"),), False),
        ((report("m", 0, host="here", id="beside"),), False),
    ],
    ids=["alone", "idle", "room", "full", "draining", "overloaded", "another model", "same host"],
)
def test_other_workers_have_room(others: tuple, expected: bool) -> None:  # type: ignore[type-arg]
    assert can_stop([OWN, *others], "here") is expected


def test_all_sessions_need_room_on_any_number_of_workers() -> None:
    own = report("m", 3, id="own", host="here", slots=8, slots_used=4)
    others = [report("m", 1, id=f"other-{number}", host=f"there-{number}") for number in range(4)]
    assert not can_stop([own, *others[:3]], "here")
    assert can_stop([own, *others], "here")


def test_sessions_of_all_workers_of_the_host_need_room() -> None:
    own = [report("m", 2, id=f"own-{number}", host="here") for number in range(2)]
    others = [report("m", 0, id=f"other-{number}", host="there") for number in range(2)]
    assert not can_stop([*own, others[0]], "here")
    assert can_stop([*own, *others], "here")


def test_a_worker_without_sessions_waits_for_one_that_takes_new_ones() -> None:
    idle = report("m", 0, id="own", host="here")
    assert not can_stop([idle, report("m", 2, host="there")], "here")
    assert can_stop([idle, report("m", 1, host="there")], "here")


def test_nothing_is_waited_for_without_a_worker_that_serves() -> None:
    assert can_stop([report("m", 2, host="there")], "here")
    assert can_stop([report("m", 1, host="here", draining=True)], "here")
