"""The device that a command runs on, by its option `--device`."""

import argparse
import re
import sys
from typing import Final

import torch

NO_DEVICE: Final = 2
"""The exit status without the device that was asked for."""


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", type=_known, default="cuda", help="cuda, cuda:1, … or cpu; default cuda")


def chosen_device(wanted: str) -> torch.device | None:
    """The device with its number; None, after a sentence on standard error, if this machine does not have it."""
    if wanted == "cpu":
        return torch.device(wanted)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(wanted.partition(":")[2] or 0)
    if index < count:
        return torch.device("cuda", index)
    if count:
        names = ", ".join(f"cuda:{one}" for one in range(count))
        print(f"--device is {wanted}, but this machine has only {names}.", file=sys.stderr)
    else:
        print(f"torch {torch.__version__} sees no CUDA device; .venv/bin/voxtral doctor says why.", file=sys.stderr)
    return None


def _known(device: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise argparse.ArgumentTypeError(f"{device!r} is not cpu, cuda or cuda with a number, such as cuda:1")
    return device
