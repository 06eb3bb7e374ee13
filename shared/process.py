"""The resources of this process, how its memory is returned to the system, and how processes end."""

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

LARGE_BLOCK_BYTES: Final = 1 << 20
_M_MMAP_THRESHOLD: Final = -3
"""A parameter of mallopt, as in glibc's malloc.h."""
_PR_SET_PDEATHSIG: Final = 1
_LIBC = ctypes.CDLL(None)
_SIGNAL_NAMES: Final = {int(one): one.name for one in signal.Signals}
"""Not of all real-time signals."""


def rss_bytes() -> int:
    """Resident memory of this process (Linux: the second field of `statm`, in pages)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def resources() -> dict[str, float]:
    """What this process uses, by the names that Prometheus' client libraries give such metrics (Linux)."""
    times = os.times()
    virtual_pages, resident_pages = Path("/proc/self/statm").read_text().split()[:2]
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    return {
        "process_cpu_seconds": round(times.user + times.system, 2),
        "process_resident_memory_bytes": int(resident_pages) * page_bytes,
        "process_virtual_memory_bytes": int(virtual_pages) * page_bytes,
        "process_open_fds": _open_fds(),
        "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }


def _open_fds() -> int:
    """Linux 6.2 and newer know the number; older kernels have to list them (0.3 ms for each 1000)."""
    folder = "/proc/self/fd"
    return os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH116, PTH208 -- plain calls take half the time


def return_large_blocks() -> None:
    """Make malloc return blocks of `LARGE_BLOCK_BYTES` and more to the system when they are freed.

    By default glibc takes blocks of up to 32 MB from its heap once one of that size has been freed, and a heap shrinks
    only at its end: a few large messages at the same time would enlarge a process permanently by all of them.
    Other C libraries are not changed.
    """
    mallopt = getattr(_LIBC, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def end_with(
    parent: int, number: signal.Signals = signal.SIGKILL, already: Callable[[], object] = lambda: os._exit(1)
) -> None:
    """Have the kernel send this process a signal when its parent ends; call `already` if that has already happened."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        already()


@contextlib.contextmanager
def children_without_interrupts() -> Iterator[None]:
    """Processes that this thread starts meanwhile never receive SIGINT, which a terminal sends to all at Ctrl-C: it is
    for the process that has started them. They need not ignore it, which they could not do while they start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def how_ended(exit_code: int | None) -> str:
    """What ended a process, by its exit code as Python gives it: negative for a signal, None if it is not known."""
    if exit_code is None or exit_code >= 0:
        return f"status {exit_code}"
    return f"signal {_SIGNAL_NAMES.get(-exit_code, -exit_code)}"
