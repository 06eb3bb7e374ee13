"""When a rewriting of Redis' append-only file is worth what it costs."""

import pytest

from shared.bus.append_only import SMALL_BYTES, AppendOnlyFile

ON = {"aof_enabled": 1, "aof_current_size": 1000, "aof_rewrite_in_progress": 0, "aof_rewrite_scheduled": 0}
LARGE = 10 * SMALL_BYTES


@pytest.mark.parametrize(
    ("size_bytes", "live_bytes", "is_mostly_dead", "is_worth_rewriting"),
    [
        (1000, 600, False, True),
        (1000, 400, True, True),
        (2 * LARGE, LARGE, False, False),
        (2 * LARGE + 1, LARGE, True, True),
        (1000, SMALL_BYTES, False, True),
        (1000, SMALL_BYTES + 1, False, False),
    ],
)
def test_file_is_rewritten_where_most_of_it_is_dead_or_little_is_live(
    size_bytes: int, live_bytes: int, is_mostly_dead: bool, is_worth_rewriting: bool
) -> None:
    file = AppendOnlyFile.of(ON | {"aof_current_size": size_bytes, "used_memory_dataset": live_bytes})
    assert (file.is_mostly_dead, file.is_worth_rewriting) == (is_mostly_dead, is_worth_rewriting)


@pytest.mark.parametrize("field", ["aof_rewrite_in_progress", "aof_rewrite_scheduled"])
def test_file_that_is_being_rewritten_is_busy(field: str) -> None:
    assert not AppendOnlyFile.of(ON).is_busy
    assert AppendOnlyFile.of(ON | {field: 1}).is_busy


@pytest.mark.parametrize("said", [{}, {"aof_enabled": 0, "aof_current_size": 5}, {"aof_enabled": 1}])
def test_file_that_nothing_is_known_of_is_off(said: dict[str, int]) -> None:
    assert not AppendOnlyFile.of(said).is_on


def test_file_that_was_never_rewritten_has_taken_no_time() -> None:
    assert AppendOnlyFile.of(ON | {"aof_last_rewrite_time_sec": -1}).took_s == 0
    assert AppendOnlyFile.of(ON | {"aof_last_bgrewrite_status": "err"}).failed
