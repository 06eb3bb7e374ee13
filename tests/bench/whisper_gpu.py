"""Measures how many live sessions one GPU serves with a large Whisper's shape: `python -m tests.bench.whisper_gpu`.

The weights are random, so nothing is downloaded and the text is meaningless; the work is that of speech: windows of up
to 8 s, the tokens that these have in speech, word times. Prints, for 1, 2, 4, … sessions, how long a step takes that
gives each of them one partial, and the most sessions that have one every 160 ms and every second. Without CUDA a tiny
shape runs on the CPU, to see that the command works.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from shared.config.sections import ModelSettings
from shared.errors import StartupError
from shared.events import SAMPLE_RATE_HZ
from shared.gpus import memory_bytes
from tests.bench.figures import Figure, keep, machine, percentile, show
from tests.tiny.whisper import LARGE_V3, PUBLISHED, Shape, build_whisper
from worker.engines.registry import MAX_AUTO_THREADS
from worker.engines.whisper.decoder import WhisperDecoder
from worker.engines.whisper.jobs import Job
from worker.engines.whisper.loading import GPU_SETTINGS
from worker.engines.whisper.pace import PASS_TOKENS, WINDOW_S
from worker.engines.whisper.placement import COMPUTE_TYPES, Placement, asked_compute_type, auto_compute_type, device
from worker.engines.whisper.sizes import SIZES

RESULT: Final = Path("build/bench-whisper-gpu.json")
WARM_STEPS: Final = 2
LIMITS_MS: Final = (GPU_SETTINGS.partial_interval_ms, 1000.0)
"""A partial whenever the engine wants one, and one a second."""
GIVE_UP_MS: Final = 2000.0
"""More sessions are not tried once a step takes so long."""


@dataclass(frozen=True, slots=True)
class Steps:
    sessions: int
    times_ms: list[float]

    @property
    def p50(self) -> float:
        return percentile(self.times_ms, 0.5)

    @property
    def p99(self) -> float:
        return percentile(self.times_ms, 0.99)


def jobs(sessions: int, tokens: int) -> list[Job]:
    """One window for each session, of lengths as they come in speech."""
    random = np.random.default_rng(sessions)
    lengths = random.integers(WINDOW_S * SAMPLE_RATE_HZ // 2, WINDOW_S * SAMPLE_RATE_HZ, sessions)
    noise = [random.standard_normal(length).astype(np.float32) * 0.1 for length in lengths]
    return [Job(pcm, language="en", cap_tokens=tokens) for pcm in noise]


def measured(decoder: WhisperDecoder, arguments: argparse.Namespace) -> Iterator[Steps]:
    """Steps for 1, 2, 4, … sessions, until a step takes too long."""
    sessions = 1
    while sessions <= arguments.max_sessions:
        windows = jobs(sessions, arguments.tokens)
        times_ms = []
        for _ in range(WARM_STEPS + arguments.steps):
            started_s = time.perf_counter()
            decoder.run(windows)
            times_ms.append(1000 * (time.perf_counter() - started_s))
        steps = Steps(sessions, times_ms[WARM_STEPS:])
        yield steps
        if steps.p50 > GIVE_UP_MS:
            return
        sessions *= 2


def most_sessions(measurements: list[Steps], limit_ms: float) -> float:
    """The sessions whose step takes `limit_ms` at p99, between the counts that were measured; 0 if one is too many."""
    within = [steps for steps in measurements if steps.p99 <= limit_ms]
    if not within:
        return 0
    last = within[-1]
    beyond = next((steps for steps in measurements if steps.sessions > last.sessions), None)
    if beyond is None:
        return last.sessions
    share = (limit_ms - last.p99) / (beyond.p99 - last.p99)
    return int(last.sessions + share * (beyond.sessions - last.sessions))


def placed(arguments: argparse.Namespace) -> tuple[Placement, Shape]:
    where = device(arguments.device)
    settings = ModelSettings(compute_type=arguments.compute_type)
    size = SIZES[arguments.model]
    precision = asked_compute_type(settings, where) or auto_compute_type(where, size)
    on_gpu = where != "cpu"
    placement = Placement(where, precision, threads=1, feature_threads=arguments.threads if on_gpu else 1, size=size)
    return placement, PUBLISHED[arguments.model] if on_gpu else LARGE_V3


def spectrogram_ms(decoder: WhisperDecoder) -> float:
    """What the host has to do for each window before the GPU can begin; cores share it."""
    [job] = jobs(1, PASS_TOKENS)
    times_ms = []
    for _ in range(10):
        started_s = time.perf_counter()
        decoder._window(job.pcm, 100 * WINDOW_S)
        times_ms.append(1000 * (time.perf_counter() - started_s))
    return percentile(times_ms, 0.5)


def measure(arguments: argparse.Namespace) -> list[Figure]:
    placement, shape = placed(arguments)
    if placement.on_gpu:
        print(f"{arguments.model}'s shape with random weights on {placement.device}, {placement.compute_type}")
    else:
        print("No CUDA device: a tiny shape on the CPU, to check that the command works; the figures are meaningless.")
    with tempfile.TemporaryDirectory() as folder:
        directory = build_whisper(Path(folder), shape, half=placement.on_gpu, only_text=True)
        started_s = time.perf_counter()
        decoder = WhisperDecoder(directory, placement)
        print(f"loaded in {time.perf_counter() - started_s:.1f} s; {arguments.tokens} tokens a window")
    print(f"{'sessions':>8} {'p50 ms':>8} {'p99 ms':>8} {'ms each':>8} {'memory GB':>10}")
    measurements, figures = [], []
    for steps in measured(decoder, arguments):
        used = memory_bytes(placement.device)[0]
        memory = "–" if used is None else f"{used / 1e9:.1f}"
        print(
            f"{steps.sessions:>8} {steps.p50:>8.1f} {steps.p99:>8.1f} {steps.p50 / steps.sessions:>8.2f} {memory:>10}",
            flush=True,
        )
        measurements.append(steps)
        figures.append(Figure(f"step over {steps.sessions} sessions, p50", steps.p50, "ms"))
        figures.append(Figure(f"step over {steps.sessions} sessions, p99", steps.p99, "ms"))
    figures.append(Figure("spectrogram of one window, on a core of the CPU", spectrogram_ms(decoder), "ms"))
    for limit_ms in LIMITS_MS:
        most = most_sessions(measurements, limit_ms)
        figures.append(Figure(f"sessions with a partial every {limit_ms:g} ms, p99", most, "sessions", wants_more=True))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=[*PUBLISHED], default=next(iter(PUBLISHED)), help="whose shape it is")
    parser.add_argument(
        "--threads", type=int, default=MAX_AUTO_THREADS, help="spectrograms that are computed at a time"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")
    parser.add_argument("--compute-type", choices=["auto", *COMPUTE_TYPES], default="auto")
    parser.add_argument("--tokens", type=int, default=PASS_TOKENS, help="tokens that a window has")
    parser.add_argument("--steps", type=int, default=30, help="steps measured for each number of sessions")
    parser.add_argument("--max-sessions", type=int, default=256)
    parser.add_argument("--result", type=Path, default=RESULT, help="file that the figures are written to")
    arguments = parser.parse_args()
    print(machine())
    try:
        figures = measure(arguments)
    except StartupError as error:
        sys.exit(str(error))
    print("\n".join(show(figure) for figure in figures))
    keep(figures, arguments.result)
    print(f"written to {arguments.result}")


if __name__ == "__main__":
    main()
