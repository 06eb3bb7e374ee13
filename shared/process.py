"""What a process can say about its memory, and how it gives it back."""

import ctypes
import os
from pathlib import Path
from typing import Final

LARGE_BLOCK_BYTES: Final = 1 << 20
_M_MMAP_THRESHOLD: Final = -3
"""Of mallopt, as in glibc's malloc.h."""


def rss_bytes() -> int:
    """Resident memory of this process (Linux: the second field of `statm`, in pages)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def return_large_blocks() -> None:
    """Have blocks of `LARGE_BLOCK_BYTES` and more returned to the system when they are freed.

    By itself glibc takes blocks of up to 32 MB from its heap once one of that size has been freed, and a heap shrinks
    at its end only: a few large messages at the same time would leave a process larger by all of them, for good.
    Other C libraries stay as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
