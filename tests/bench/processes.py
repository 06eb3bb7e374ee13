"""The processes of a measured service, those that they start, and the CPU time and memory of all, from /proc."""

import os
import resource
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.stack import Stack, serving

WHISPER = {"model": {"name": "whisper-base", "slots": 16}}
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

ALLOWED_MIB: Final = 20.0
"""How much a process may grow in a soak."""


@contextmanager
def running(settings: dict[str, dict[str, Any]]) -> Iterator[Stack]:
    """A ready service, in its own folder."""
    with tempfile.TemporaryDirectory() as folder, serving(Stack(Path(folder), **settings)) as stack:
        yield stack


def allow_open_files() -> None:
    """As `make run` does it: the usual soft limit of 1024 is less than the bench opens."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cpu_s(stack: Stack) -> float:
    """CPU seconds that all processes of the service have used, with those that they started."""
    return sum(_cpu_s(pid) for process in stack.processes.values() for pid in (process.pid, *_descendants(process.pid)))


def rss_mib(stack: Stack) -> dict[str, float]:
    """Resident memory by process; of those that a process has started, such as its decoders, that of the largest."""
    found: dict[str, float] = {}
    for label, process in stack.processes.items():
        found[label] = _rss_mib(process.pid)
        if started := _descendants(process.pid):
            found[f"below {label}"] = max(_rss_mib(pid) for pid in started)
    return found


def too_large(growth_mib: Mapping[str, float]) -> dict[str, float]:
    """The processes that have grown too much. Redis keeps the data of ended sessions for a while, so it may."""
    return {label: mib for label, mib in growth_mib.items() if mib > ALLOWED_MIB and not label.endswith("redis")}


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _read(task).split()):
            found += [child, *_descendants(child)]
    return found


def _rss_mib(pid: int) -> float:
    fields = _read(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * _PAGE_BYTES / 2**20 if fields else 0.0


def _cpu_s(pid: int) -> float:
    """Its own, and that of its children that have ended."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS_PER_S  # utime, stime, cutime, cstime


def _read(file: Path) -> str:
    """Empty if the process has ended."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
