"""Services are started once for several files, and stopped when nobody has used them for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.keeping import Services


class Watched:
    """Starts what stands for a service, at a time that the test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.running: list[str] = []
        self.services = Services(wait_s=40, clock=lambda: self.now_s)

    def lent(self, name: str) -> Any:
        return self.services.lent(name, lambda: self._serving(name))

    @contextmanager
    def _serving(self, name: str) -> Iterator[Any]:
        self.running.append(name)
        yield object()
        self.running.remove(name)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_service_is_the_same_for_all_who_use_it(watched: Watched) -> None:
    with watched.lent("echo") as first, watched.lent("keyed") as keyed, watched.lent("echo") as second:
        assert watched.running == ["echo", "keyed"]
    with watched.lent("echo") as third:
        assert first is second is third is not keyed


def test_service_that_waits_for_too_long_is_stopped(watched: Watched) -> None:
    with watched.lent("echo"):
        pass
    watched.now_s += 40
    watched.services.stop_unused()
    assert watched.running == ["echo"]
    watched.now_s += 1
    watched.services.stop_unused()
    assert watched.running == []
    with watched.lent("echo"):
        assert watched.running == ["echo"], "it is started again"


def test_service_that_is_used_is_not_stopped(watched: Watched) -> None:
    with watched.lent("echo"):
        with watched.lent("echo"):
            pass
        watched.now_s += 1000
        watched.services.stop_unused()
        assert watched.running == ["echo"]


def test_services_stop_at_the_end(watched: Watched) -> None:
    with watched.lent("echo"), watched.lent("tls"):
        pass
    watched.services.stop_all()
    assert watched.running == []


def test_service_that_does_not_start_is_tried_again(watched: Watched) -> None:
    @contextmanager
    def failing() -> Iterator[Any]:
        raise AssertionError("the service is not ready")
        yield

    with pytest.raises(AssertionError, match="not ready"), watched.services.lent("echo", failing):
        pass
    with watched.lent("echo"):
        assert watched.running == ["echo"]


def test_service_that_fails_to_stop_keeps_no_other_one_running(watched: Watched) -> None:
    with watched.lent("echo"), watched.lent("keyed"):
        watched.running.remove("echo")  # so that its stop raises ValueError
    with pytest.raises(ValueError, match="not in list"):
        watched.services.stop_all()
    assert watched.running == []
