"""Live streams on a virtual clock: audio arrives in real time, and the clock advances by the time of each step.

A minute of pauses takes no time, and a busy machine appears as a slower engine.
"""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions
from tests.bench.screen import Screen, Script
from worker.engines.base import Engine, Output, Timed

CHUNK_SAMPLES = 320
STAGGER_S = 1.3
"""Streams start apart, so that their pauses do not fall together."""
FIXED_PASS_S = 0.12
"""About the duration of a pass of one stream on a common CPU."""


class Clock:
    """How long a step of the engine takes: by the wall, by the processor, or the same for each pass."""

    def __init__(self, engine: Engine, kind: str) -> None:
        """`kind`: `wall`, `cpu` or `fixed`. With `fixed`, the results do not depend on the machine's speed.

        `cpu` counts the processor time of all threads together where that is less than wall time: on a machine that
        others use too it leaves out most of their share, and never assumes that threads ran side by side.
        """
        self._engine = engine
        self._kind = kind
        self.cpu_s = 0.0
        """Processor time of all steps so far."""
        self.audio_s = 0.0
        """Audio of all streams so far."""

    def timed_step(self) -> tuple[list[tuple[str, Output]], float]:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        outputs = self._engine.step()
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        self.cpu_s += cpu_s
        if self._kind == "fixed":
            ended = self._engine.take_passes() if isinstance(self._engine, Timed) else outputs
            return outputs, FIXED_PASS_S if ended else 0.0
        return outputs, min(cpu_s, wall_s) if self._kind == "cpu" else wall_s


@dataclass(slots=True)
class _Lane:
    """One of the streams that run at a time."""

    number: int
    key: str
    script: Script
    screen: Screen
    start_s: float
    fed_samples: int = 0
    finished: bool = False

    def feed(self, engine: Engine, now_s: float) -> float:
        """Give the engine what has arrived by now; returns its seconds."""
        arrived = int((now_s - self.start_s) * SAMPLE_RATE_HZ) // CHUNK_SAMPLES * CHUNK_SAMPLES
        length = len(self.script.pcm)
        if (now_s - self.start_s) * SAMPLE_RATE_HZ >= length:
            arrived = length
        new_s = max(0, arrived - self.fed_samples) / SAMPLE_RATE_HZ
        if arrived > self.fed_samples:
            engine.feed(self.key, self.script.pcm[self.fed_samples : arrived])
            self.fed_samples = arrived
        if arrived >= length and not self.finished:
            engine.finish(self.key)
            self.finished = True
        return new_s


def play(
    engine: Engine,
    clock: Clock,
    scripts: Sequence[Script],
    options: Sequence[SessionOptions],
    streams: int | None = None,
    *,
    refill: bool = False,
) -> tuple[list[Screen], float, float]:
    """All scripts in real time, each with its options, `streams` of them at a time (None: all).

    `refill`: scripts are played again, unmeasured, in the place of those that have ended, so that the load stays the
    same to the end. Returns what was seen of each, seconds of steps, and seconds of the clock.
    """
    screens = [Screen() for _ in scripts]
    turns = itertools.count()
    lanes: list[_Lane] = []
    now_s = busy_s = 0.0

    def start(number: int, start_s: float) -> None:
        turn = next(turns)
        if turn < len(scripts) or refill:
            index = turn % len(scripts)
            screen = screens[turn] if turn < len(scripts) else Screen()
            engine.open(str(turn), options[index])
            lanes.append(_Lane(number, str(turn), scripts[index], screen, start_s))

    for number in range(streams or len(scripts)):
        start(number, number * STAGGER_S)
    while not all(screen.done for screen in screens):
        clock.audio_s += sum(lane.feed(engine, now_s) for lane in lanes)
        if not engine.ready():
            now_s += CHUNK_SAMPLES / SAMPLE_RATE_HZ
            continue
        outputs, spent_s = clock.timed_step()
        now_s, busy_s = now_s + spent_s, busy_s + spent_s
        by_key = {lane.key: lane for lane in lanes}
        for key, output in outputs:
            by_key[key].screen.take(now_s - by_key[key].start_s, output)
        for lane in [lane for lane in lanes if lane.screen.done]:
            engine.close(lane.key)
            lanes.remove(lane)
            start(lane.number, now_s)
    for lane in lanes:
        engine.close(lane.key)
    return screens, busy_s, now_s
