"""The backlog is bounded by audio: the oldest finals make room for new ones."""

from tests.unit.worker.second_pass.tasks import task
from worker.second_pass.backlog import Backlog


def test_oldest_tasks_are_dropped() -> None:
    backlog = Backlog(limit_s=10)
    first, second, third = task(length_s=4), task(length_s=5), task(length_s=6)
    assert [backlog.put(first), backlog.put(second), backlog.put(third)] == [[], [], [first, second]]
    assert backlog.take(5) == [third]
    longer = task(length_s=11)
    assert backlog.put(longer) == [longer], "it will never fit"
    assert not len(backlog)


def test_tasks_of_an_ended_session_are_dropped_and_leave_room() -> None:
    backlog = Backlog(limit_s=10)
    other = task("s2/1", length_s=4)
    for one in (task(length_s=5), other):
        backlog.put(one)
    backlog.forget("s1/1")
    assert backlog.put(task("s2/1", index=1, length_s=6)) == []
    assert backlog.take(1) == [other], "the oldest first"


def test_waiting_ends_with_a_task_or_the_end() -> None:
    backlog = Backlog(limit_s=10)
    backlog.put(task())
    assert backlog.wait()
    backlog.close()
    assert not backlog.wait()
