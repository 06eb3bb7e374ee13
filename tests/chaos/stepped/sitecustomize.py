"""Python imports this at its start, before anything else, in processes whose clock is to be stepped.

Their wall clock, `time.time`, is off by the seconds that the file CHAOS_CLOCK holds at the moment; monotonic clocks
go on undisturbed, as those of real machines do.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

LOOK_INTERVAL_S = 0.1


def stepped(true_time: Callable[[], float], file: Path) -> Callable[[], float]:
    offset_s, looked_at_s = 0.0, float("-inf")

    def wrong_time() -> float:
        nonlocal offset_s, looked_at_s
        if time.monotonic() - looked_at_s > LOOK_INTERVAL_S:
            offset_s, looked_at_s = float(file.read_text() or offset_s), time.monotonic()
        return true_time() + offset_s

    return wrong_time


time.time = stepped(time.time, Path(os.environ["CHAOS_CLOCK"]))
