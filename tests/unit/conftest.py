"""Fails unit tests that start a process, or bind or connect a socket: they belong to `tests/integration`."""

import sys
from collections.abc import Generator
from typing import Any, Final

import pytest
import urllib3  # noqa: F401 -- binds an address when it is first imported, to find out whether there is IPv6

FORBIDDEN: Final = frozenset(
    {
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.system",
        "socket.bind",
        "socket.connect",
        "subprocess.Popen",
    }
)
"""Audit events of the interpreter, from any code."""
_watch = {"is_on": False}
_seen: list[str] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch["is_on"] and event in FORBIDDEN:
        _seen.append(f"{event}{arguments[:2]}")


sys.addaudithook(_note)


def _watched() -> Generator[None]:
    _seen.clear()
    _watch["is_on"] = True
    try:
        yield
    finally:
        _watch["is_on"] = False
    if _seen:
        pytest.fail(f"A unit test starts no process and uses no address; move it to tests/integration: {_seen[0]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    return (yield from _watched())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    return (yield from _watched())
