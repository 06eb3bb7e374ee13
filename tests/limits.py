"""Limits of time that follow the machine: a slow processor, or one that others use, too, takes longer for the same.

A limit says that something hangs, or that it is far from what it should be. It never measures.
"""

import os
import time
from functools import cache
from typing import Final

REFERENCE_S: Final = 0.015
"""What `_work_s` is on a core of 3 GHz."""
MOST: Final = 20.0


def limit_s(seconds: float) -> float:
    """So many seconds on a machine of our own, and more on a slower or busier one."""
    return seconds * slowness()


def slowness() -> float:
    """How many times as long as usual things take now, at least 1."""
    load = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    return min(MOST, max(1.0, _processor()) * max(1.0, load))


@cache
def _processor() -> float:
    return min(_work_s() for _ in range(3)) / REFERENCE_S


def _work_s() -> float:
    started_s = time.process_time()
    sum(number * number % 7 for number in range(200_000))
    return time.process_time() - started_s
