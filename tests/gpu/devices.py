"""The device that a command runs on, by its option `--device`."""

import argparse
import sys
from typing import Final

import torch

NO_DEVICE: Final = 2
"""The exit status without the device that was asked for."""


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:1, cpu; auto takes CUDA if there is some")


def chosen_device(wanted: str) -> torch.device | None:
    """The device with its number; None, after a sentence on standard error, if there is no CUDA device."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        print(f"torch {torch.__version__} sees no CUDA device; .venv/bin/voxtral doctor says why.", file=sys.stderr)
        return None
    device = torch.device(wanted)
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device
