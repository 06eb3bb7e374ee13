"""Whether Voxtral Realtime works on this machine's GPU, and how fast: `python -m tests.gpu`. Needs no network.

A tiny checkpoint that was trained to hear 22 words runs in float32, in bfloat16 and with 8 bits: what it hears alone,
in batches, while others join and leave, and when many start at once; whether recorded passes give the bits of those
from Python; whether a pass waits for the host; whether memory grows. Then the published shape is measured with random
weights. All goes into one file, to be passed on. The exit status is 0 if every check has passed.

`--device cpu` runs the same at a tiny size; what only CUDA can show is skipped.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
import torch

from tests.gpu.devices import NO_DEVICE, add_device, chosen_device
from tests.gpu.memory import check_memory, read
from tests.gpu.pass_checks import check_passes, expect_recorded
from tests.gpu.report import Report, about
from tests.gpu.sessions import load_tiny
from tests.gpu.shape import Measuring, check_shape
from tests.gpu.speech_checks import CPU_LOAD, GPU_LOAD, Load, Speech, alone, check_speech, speakers_of

RESULT: Final = Path("build/gpu-check.json")
DTYPES: Final[dict[str, dict[str, str]]] = {
    "float32": {"torch_dtype": "float32"},
    "bfloat16": {"torch_dtype": "bfloat16"},
    "int8": {"torch_dtype": "bfloat16", "weight_dtype": "int8"},
    "fp8": {"torch_dtype": "bfloat16", "weight_dtype": "fp8", "kv_dtype": "fp8"},
}
"""Settings of the tiny checkpoint."""
WINDOWS: Final = {"cuda": (2048, 8192), "cpu": (64, 128)}
PASSES: Final = {"cuda": 40, "cpu": 3}


def main(given: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(given)
    device = chosen_device(arguments.device)
    if device is None:
        return NO_DEVICE
    report = Report(arguments.result, about(device))
    print("\n".join(f"{name}: {value}" for name, value in report.about.items()))
    load = GPU_LOAD if device.type == "cuda" else CPU_LOAD
    speech = None
    with report.part("what a CPU hears in float32"):
        speech = _speech(load)
    for dtype in arguments.dtypes if speech else ():
        with report.part(f"tiny trained checkpoint, {dtype}"):
            _check_tiny(report, device, dtype, speech)
    windows = WINDOWS[device.type] if arguments.windows is None else arguments.windows
    for text_window in windows:
        measuring = Measuring(device, text_window, arguments.passes or PASSES[device.type])
        with report.part(measuring.name):
            check_shape(report, measuring)
    return report.conclude()


def _speech(load: Load) -> Speech:
    speakers = speakers_of(load)
    engine = load_tiny("cpu", torch_dtype="float32")
    engine.warm_up()
    return Speech(speakers, load.together, alone(engine, speakers))


def _check_tiny(report: Report, device: torch.device, dtype: str, speech: Speech) -> None:
    name = f"tiny checkpoint, {dtype}"
    readings = [read(device, "before loading")]
    engine = load_tiny(str(device), **DTYPES[dtype])
    readings.append(read(device, "weights and rings"))
    engine.warm_up()
    expect_recorded(report, name, engine._model)
    check_passes(report, name, engine._model, few=device.type == "cpu")
    readings.append(read(device, "after the warm-up"))
    check_speech(report, name, engine, speech)
    readings.append(read(device, "after all sessions"))
    check_memory(report, name, readings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_device(parser)
    parser.add_argument("--result", type=Path, default=RESULT, help=f"where the JSON is written; default {RESULT}")
    parser.add_argument(
        "--windows", type=int, nargs="*", help="text windows to measure the published shape with; none skips it"
    )
    parser.add_argument(
        "--dtypes", nargs="*", choices=DTYPES, default=[*DTYPES], help="precisions of the tiny checkpoint"
    )
    parser.add_argument("--passes", type=int, help="measured passes for each number of sessions; default 40")
    return parser


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    sys.exit(main())
