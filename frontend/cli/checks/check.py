"""What `voxtral doctor` finds out: one line each, with what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, and somebody may be sorry for it."""
    BROKEN = "broken"
    ABSENT = "absent"
    """Not there, and not needed as things are."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    state: State
    detail: str
    advice: str = ""
    """What to do; empty where nothing is to be done."""


def ok(name: str, detail: str) -> Check:
    return Check(name, State.OK, detail)


def warning(name: str, detail: str, advice: str) -> Check:
    return Check(name, State.WARNING, detail, advice)


def broken(name: str, detail: str, advice: str) -> Check:
    return Check(name, State.BROKEN, detail, advice)


def absent(name: str, detail: str, advice: str = "") -> Check:
    return Check(name, State.ABSENT, detail, advice)
