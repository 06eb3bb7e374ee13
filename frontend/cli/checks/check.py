"""The results of `voxtral doctor`: one line each, with advice."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Works, but is risky."""
    BROKEN = "broken"
    ABSENT = "absent"
    """Not present, and not needed with these settings."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    state: State
    detail: str
    advice: str = ""
    """What to do; empty if nothing is to be done."""


def ok(name: str, detail: str) -> Check:
    return Check(name, State.OK, detail)


def warning(name: str, detail: str, advice: str) -> Check:
    return Check(name, State.WARNING, detail, advice)


def broken(name: str, detail: str, advice: str) -> Check:
    return Check(name, State.BROKEN, detail, advice)


def absent(name: str, detail: str, advice: str = "") -> Check:
    return Check(name, State.ABSENT, detail, advice)
