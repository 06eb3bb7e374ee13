"""A pass by itself: whether a replayed graph gives the bits of a pass from Python, and whether it waits for the host.

A pass is run, what it has changed is kept, the rows are set back by one position, and it is run again. Nothing of the
first run is seen by the second, since a position's entry in a ring is written before it is read.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from tests.gpu.report import Report
from worker.engines.voxtral_realtime.model import BatchedModel

MOST_LISTED: Final = 5
DELAY_TOKENS: Final = 6

State = dict[str, Tensor]
Run = Callable[[int, int], Tensor]
Shape = tuple[int, int]
"""Rows, and positions of the ring that are read."""


@torch.inference_mode()
def check_passes(report: Report, name: str, model: BatchedModel, *, few: bool = False) -> None:
    """`few`: the smallest, a middle and the largest batch only. The model must be warm, without a session."""
    every = _shapes(model, few=few)
    _expect_equal(report, f"{name}: a pass gives the same bits twice", model, every, one=model._pass, other=model._pass)
    what = f"{name}: a replayed graph gives the bits of a pass from Python"
    if model.recorded:
        _expect_equal(report, what, model, every, one=model._pass, other=model._passes.run)
    else:
        report.skip(what, "passes are recorded as CUDA graphs on a GPU only")
    what = f"{name}: a pass does not wait for the host"
    if model._positions.is_cuda:
        _expect_no_waiting(report, what, model, every)
    else:
        report.skip(what, "PyTorch notices synchronisations of CUDA only")
    model._advances.host.zero_()
    for row in range(model._rows):
        model.rest(row)


def expect_recorded(report: Report, name: str, model: BatchedModel) -> None:
    """Passes that could not be recorded run from Python: slower, with the same tokens, so nothing else shows it."""
    what = f"{name}: passes are recorded as CUDA graphs"
    if not model._positions.is_cuda:
        report.skip(what, "there is no CUDA device")
        return
    found = f"recorded, attention: {model.attention}" if model.recorded else "run from Python; see passes_not_recorded"
    report.expect(what, model.recorded, expected="recorded", found=found)


def _shapes(model: BatchedModel, *, few: bool) -> list[Shape]:
    batches = model._passes._batches
    if few:
        batches = sorted({batches[0], batches[len(batches) // 2], batches[-1]})
    return [(batch, count) for batch in batches for count in model._passes._positions]


def _expect_equal(report: Report, name: str, model: BatchedModel, every: list[Shape], *, one: Run, other: Run) -> None:
    differing = []
    for batch, positions in every:
        _set_rows(model, batch, positions)
        before = _kept(model, batch)
        first = _ran(model, batch, positions, one)
        _set_back(model, batch, before)
        second = _ran(model, batch, positions, other)
        parts = [part for part in first if not torch.equal(first[part], second[part])]
        if parts:
            differing.append(
                f"{batch} rows × {positions} positions: {', '.join(_gap(first, second, p) for p in parts)}"
            )
    found = f"equal in {len(every)} shapes" if not differing else "; ".join(differing[:MOST_LISTED])
    if len(differing) > MOST_LISTED:
        found += f"; and {len(differing) - MOST_LISTED} more of {len(every)} shapes"
    report.expect(
        name,
        not differing,
        expected="equal tokens, log-probabilities, keys, values and paddings in each shape",
        found=found,
    )


def _gap(first: State, second: State, part: str) -> str:
    gap = (first[part].double() - second[part].double()).abs()
    return f"{part} ({int((gap != 0).sum())} of {gap.numel()} differ, by up to {float(gap.max()):.3g})"


def _expect_no_waiting(report: Report, name: str, model: BatchedModel, every: list[Shape]) -> None:
    waits = []
    for batch, positions in (every[0], every[-1]):
        for way, run in (("from Python", model._pass), ("replayed", model._passes.run)):
            _set_rows(model, batch, positions)
            try:
                with _no_synchronisation():
                    for staged in (model._pcm, model._forced, model._advances):
                        staged.send(batch)
                    run(batch, positions)
            except RuntimeError as error:
                reason = str(error).partition("\n")[0]
                waits.append(f"{batch} rows × {positions} positions, {way}: {reason}")
            torch.cuda.synchronize(model._positions.device)
    report.expect(name, not waits, expected="no synchronisation", found="; ".join(waits) or "none")


@contextmanager
def _no_synchronisation() -> Iterator[None]:
    """Raises where the host waits for the device."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls the mode a prototype
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


def _set_rows(model: BatchedModel, batch: int, positions: int) -> None:
    """Rows at different positions within the part of the ring, each with other noise to hear and a token of its own."""
    random = np.random.default_rng(batch * 10_007 + positions)
    last = 3 * positions if positions == model._memory.text.length else positions  # a full ring has been written over
    model._advances.host.zero_()
    for row in range(batch):
        model.start(row, DELAY_TOKENS)
        model.place(row, max(model._prompt.first_position, last - 1 - row % 7))
        model._tokens[row] = model._prompt.pad_token
        model.stage(row, (random.standard_normal(model._prompt.window_samples) * 0.1).astype(np.float32))


def _ran(model: BatchedModel, batch: int, positions: int, run: Run) -> State:
    """What a pass has changed."""
    for staged in (model._pcm, model._forced, model._advances):
        staged.send(batch)
    at = model._positions[:batch].clone()
    tokens, log_probabilities = run(batch, positions)[:, :batch].clone()
    frames = [at * model._frames + frame for frame in range(model._frames)]
    heard = _entries("encoder", model._memory.encoder, batch, frames)
    said = {"tokens": tokens, "log-probabilities": log_probabilities}
    return said | heard | _entries("text", model._memory.text, batch, [at]) | _kept(model, batch)


def _entries(name: str, ring: Any, batch: int, positions: list[Tensor]) -> State:
    """Keys and values of positions of each row, `[positions, rows, layers, 2, heads, dim]`, and scales if there are."""
    rows = torch.arange(batch, device=positions[0].device)
    state = {}
    for part, stored in zip((name, f"scales of {name}"), ring._tensors(), strict=False):
        numbers = stored.view(torch.uint8) if stored.dtype.itemsize == 1 else stored
        state[part] = torch.stack([numbers[:, :, rows, :, at % ring.length] for at in positions])
    return state


def _kept(model: BatchedModel, batch: int) -> State:
    """What the next pass depends on beside the rings."""
    pads = {f"padding of {key}": stored[:batch].clone() for key, stored in model._memory.pads._stored.items()}
    return {"own tokens": model._tokens[:batch].clone(), "positions": model._positions[:batch].clone(), **pads}


def _set_back(model: BatchedModel, batch: int, kept: State) -> None:
    model._tokens[:batch] = kept["own tokens"]
    model._positions[:batch] = kept["positions"]
    for key, stored in model._memory.pads._stored.items():
        stored[:batch] = kept[f"padding of {key}"]
