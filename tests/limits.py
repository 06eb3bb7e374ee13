"""Time limits that account for the machine: a slow processor, or a shared one, takes longer for the same work.

A limit detects that something hangs or is far too slow. It is not a measurement.
"""

import os
import time
from functools import cache
from typing import Final

REFERENCE_S: Final = 0.015
"""The value of `_work_s` on a core of 3 GHz."""
MOST: Final = 20.0


def limit_s(seconds: float) -> float:
    """The given seconds on an idle machine, and more on a slower or busier one."""
    return seconds * slowness()


def slowness() -> float:
    """How many times as long as usual work takes now, at least 1."""
    load = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    return min(MOST, max(1.0, _processor()) * max(1.0, load))


@cache
def _processor() -> float:
    return min(_work_s() for _ in range(3)) / REFERENCE_S


def _work_s() -> float:
    started_s = time.process_time()
    sum(number * number % 7 for number in range(200_000))
    return time.process_time() - started_s
