"""The memory of this process, and how it is returned to the system."""

import ctypes
import os
from pathlib import Path
from typing import Final

LARGE_BLOCK_BYTES: Final = 1 << 20
_M_MMAP_THRESHOLD: Final = -3
"""A parameter of mallopt, as in glibc's malloc.h."""


def rss_bytes() -> int:
    """Resident memory of this process (Linux: the second field of `statm`, in pages)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def return_large_blocks() -> None:
    """Make malloc return blocks of `LARGE_BLOCK_BYTES` and more to the system when they are freed.

    By default glibc takes blocks of up to 32 MB from its heap once one of that size has been freed, and a heap shrinks
    only at its end: a few large messages at the same time would enlarge a process permanently by all of them.
    Other C libraries are not changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
