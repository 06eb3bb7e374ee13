"""The processes of a measured service, and their CPU time and resident memory, from /proc."""

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.stack import Stack, serving

WHISPER = {"model": {"name": "whisper-base", "slots": 16}}
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


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
    """CPU seconds that all processes of the service have used."""
    return sum(_cpu_s(process.pid) for process in stack.processes.values())


def rss_mib(stack: Stack) -> dict[str, float]:
    """Resident memory by process."""
    return {
        label: int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * _PAGE_BYTES / 2**20
        for label, process in stack.processes.items()
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S  # utime and stime
