"""Prints every figure of docs/benchmarks.md and saves them as JSON: `make bench`, or `python -m tests.bench live`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import dialects, idle, live, memory, no_speech, pipeline, real_speech, upload, viewers
from tests.bench.figures import Figure, keep, machine, show
from tests.bench.processes import WHISPER, allow_open_files, running
from tests.stack import Stack

RESULT = Path("build/bench.json")
OF_SERVICE: dict[str, tuple[Callable[[Stack], list[Figure]], dict[str, dict[str, Any]]]] = {
    "pipeline": (pipeline.measure, {"model": {"name": "echo", "slots": 512}}),
    "dialects": (dialects.measure, {"model": {"name": "echo", "slots": 16}}),
    "viewers": (viewers.measure, {"model": {"name": "echo", "slots": 4}}),
    "live": (live.measure, WHISPER),
    "idle": (idle.measure, WHISPER),
    "memory": (memory.measure, WHISPER),
    "upload": (upload.measure_hour, {"model": {"name": "echo"}}),
    "upload-speed": (upload.measure_speed, WHISPER),
}
"""Sections that measure a running service, with its settings."""
OF_ENGINE: dict[str, Callable[[argparse.Namespace], list[Figure]]] = {
    "real-speech": real_speech.measure,
    "no-speech": no_speech.measure,
}
"""Sections that start the measured processes themselves."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*OF_SERVICE, *OF_ENGINE]
    parser.add_argument("sections", nargs="*", choices=[*names, []], help="all of them if none is named")
    recorded = parser.add_argument_group("real-speech", "The environment variable SPEECH names a folder of recordings.")
    recorded.add_argument("--service", action="store_true", help="a subset through the whole service, in real time")
    recorded.add_argument(
        "--isa", action="store_true", help="only accuracy of recordings, as on other processors and in float32"
    )
    clocks = ["wall", "cpu", "fixed"]
    recorded.add_argument("--clock", choices=clocks, default="wall", help="how steps of the engine are timed")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    print(machine(), flush=True)
    allow_open_files()
    for name in arguments.sections or names:
        for figure in _measured(name, arguments):
            figures.append(figure)
            print(show(figure), flush=True)
        keep(figures, RESULT)  # a later section may fail
    missed = sum(not figure.met for figure in figures)
    print(f"{len(figures)} figures, {missed} missed; written to {RESULT}")


def _measured(name: str, arguments: argparse.Namespace) -> list[Figure]:
    if name in OF_ENGINE:
        return OF_ENGINE[name](arguments)
    measure, settings = OF_SERVICE[name]
    with running(settings) as stack:
        return measure(stack)


if __name__ == "__main__":
    main()
