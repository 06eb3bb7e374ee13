"""Prints every figure of the README's table and keeps them as JSON: `make bench`, or `python -m tests.bench live`."""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import dialects, idle, live, memory, pipeline, upload, viewers
from tests.bench.figures import Figure, keep, machine, show
from tests.bench.processes import allow_open_files
from tests.stack import Stack

WHISPER = {"model": {"name": "whisper-base", "slots": 16}}
RESULT = Path("build/bench.json")
SECTIONS: dict[str, tuple[Callable[[Stack], list[Figure]], dict[str, dict[str, Any]]]] = {
    "pipeline": (pipeline.measure, {"model": {"name": "echo", "slots": 512}}),
    "dialects": (dialects.measure, {"model": {"name": "echo", "slots": 16}}),
    "viewers": (viewers.measure, {"model": {"name": "echo", "slots": 4}}),
    "live": (live.measure, WHISPER),
    "idle": (idle.measure, WHISPER),
    "memory": (memory.measure, WHISPER),
    "upload": (upload.measure_hour, {"model": {"name": "echo"}}),
    "upload-speed": (upload.measure_speed, WHISPER),
}


@contextmanager
def running(settings: dict[str, dict[str, Any]]) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), **settings)
        try:
            stack.start()
            yield stack
        finally:
            stack.stop_all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="all of them when none is named")
    chosen = parser.parse_args().sections or list(SECTIONS)
    figures: list[Figure] = []
    print(machine(), flush=True)
    allow_open_files()
    for name in chosen:
        measure, settings = SECTIONS[name]
        with running(settings) as stack:
            for figure in measure(stack):
                figures.append(figure)
                print(show(figure), flush=True)
    keep(figures, RESULT)
    missed = sum(not figure.met for figure in figures)
    print(f"{len(figures)} figures, {missed} missed; written to {RESULT}")


if __name__ == "__main__":
    main()
