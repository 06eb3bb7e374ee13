"""Measures the host's work in the engine thread of Voxtral Realtime: `python -m tests.bench.host_cost`.

Prints microseconds of the thread's CPU time for each session and tick (80 ms of audio), for several numbers of
sessions. Everything is real except the pass: commands, audio, staging, reading, words and reports. Instead of the
model, a script writes words at the pace of fast speech. Needs no GPU; the tiny checkpoint gives the vocabulary.
"""

import argparse
import cProfile
import pstats
import time
from pathlib import Path
from typing import Final

import numpy as np
import torch

from shared.session_options import CommitDelay, SessionOptions
from tests.bench.figures import Figure, keep, machine, percentile, show
from tests.tiny.engine import loaded_realtime
from worker.engine_thread import Command, EngineThread, Feed, Open, StepReport

RESULT: Final = Path("build/bench-host-cost.json")
FRAME_SAMPLES: Final = 1280
WARM_TICKS: Final = 40
SESSIONS: Final = (1, 23, 100, 280)
TARGET_US: Final = 15.0
PAUSES, MARKERS = 0.6, 0.16
"""Shares of the positions without speech and those where a word begins; the rest is text."""
SCRIPT_POSITIONS: Final = 997


class ScriptedPasses:
    """Replaces the passes of a model."""

    recorded = False

    def __init__(self, rows: int, pad_token: int, word_token: int, text_tokens: list[int]) -> None:
        generator = np.random.default_rng(0)
        text = (1 - PAUSES - MARKERS) / len(text_tokens)
        self._script = torch.from_numpy(
            generator.choice(
                [pad_token, word_token, *text_tokens],
                size=(SCRIPT_POSITIONS, rows),
                p=[PAUSES, MARKERS, *([text] * len(text_tokens))],
            )
        )
        self._passes = 0

    def shape(self, batch: int) -> int:
        return batch

    def run(self, batch: int, positions: int) -> torch.Tensor:
        self._passes += 1
        return self._script[self._passes % SCRIPT_POSITIONS][:batch]


def ticking(sessions: int) -> tuple[EngineThread, list[str]]:
    """An engine thread that is not started, with so many open sessions."""
    engine = loaded_realtime(slots=sessions)
    engine.warm_up()
    vocabulary = engine._vocabulary
    words = [vocabulary.tokens(f" {word}")[0] for word in ("one", "two", "three")]
    engine._model._passes = ScriptedPasses(sessions, vocabulary.pad_token, vocabulary.word_token, words)
    reports: list[StepReport] = []
    thread = EngineThread(engine, reports.append, lambda error: print(repr(error)), CommitDelay.ACCURATE)
    names = [f"{number:032x}/1" for number in range(sessions)]
    thread.post([Open(name, SessionOptions(), 0, 0) for name in names])
    return thread, names


def ticks_us(sessions: int, ticks: int, profile: cProfile.Profile | None = None) -> list[float]:
    """CPU time of each tick, for each session."""
    thread, names = ticking(sessions)
    sound = (np.random.default_rng(0).standard_normal(FRAME_SAMPLES) * 0.05).astype(np.float32)
    times_us = []
    for _ in range(WARM_TICKS + ticks):
        commands: list[Command] = [Feed(name, sound) for name in names]
        if profile is not None:
            profile.enable()
        started_s = time.thread_time()
        thread.post(commands)
        thread._turn()
        if profile is not None:
            profile.disable()
        times_us.append(1e6 * (time.thread_time() - started_s) / sessions)
    return times_us[WARM_TICKS:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=100)
    parser.add_argument("--profile", action="store_true", help="print where the time of 100 sessions goes instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    if arguments.profile:
        profile = cProfile.Profile()
        ticks_us(100, arguments.ticks, profile)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    figures = []
    for sessions in SESSIONS:
        times_us = ticks_us(sessions, arguments.ticks)
        target = TARGET_US if sessions > 1 else None
        name = f"host cost of {sessions} sessions, for each and tick, p50"
        figures.append(Figure(name, percentile(times_us, 0.5), "µs", target))
        print(show(figures[-1]), flush=True)
    keep(figures, RESULT)


if __name__ == "__main__":
    main()
