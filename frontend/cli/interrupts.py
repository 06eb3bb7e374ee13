"""Ctrl-C while a command works: it is cancelled in order. At all other times the process just ends (see `start`)."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine, which Ctrl-C cancels; then raises KeyboardInterrupt."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio replaces this one only
    try:
        return asyncio.run(work)
    finally:
        if before is signal.SIG_DFL:
            signal.signal(signal.SIGINT, before)
