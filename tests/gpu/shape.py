"""The published shape with random weights on the device: passes of 1, 2, 4, … sessions up to what its memory holds.

Times are those of `tests.bench.voxtral`: every window is full, and the host's part of a pass is in them.
"""

import gc
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from transformers import VoxtralRealtimeConfig

from tests.bench.figures import Figure, percentile, show
from tests.bench.voxtral import (
    DELAY_TOKENS,
    bandwidth,
    batched_model,
    build,
    counts,
    generate_ms,
    passes_ms,
    timed,
)
from tests.gpu.calculate import DELAY_MS, SHOWN_AFTER_MS
from tests.gpu.cards import slots
from tests.gpu.memory import check_memory, read
from tests.gpu.pass_checks import check_passes, expect_recorded
from tests.gpu.report import Report, table
from tests.tiny.checkpoint import tiny_config
from worker.engines.loading.checkpoints import free_memory_bytes
from worker.engines.voxtral_realtime.calibration import FRAME_MS, LIMIT_MS
from worker.engines.voxtral_realtime.sizes import row_bytes

LIMITS_MS: Final = (LIMIT_MS, FRAME_MS)
CPU_ROWS: Final = 2


@dataclass(frozen=True, slots=True)
class Measuring:
    device: torch.device
    text_window: int
    passes: int

    @property
    def config(self) -> VoxtralRealtimeConfig:
        """The published one, or the tiny one on a CPU."""
        return VoxtralRealtimeConfig() if self.device.type == "cuda" else tiny_config()

    @property
    def name(self) -> str:
        return f"{'published' if self.device.type == 'cuda' else 'tiny'} shape, window {self.text_window}"


@torch.inference_mode()
def check_shape(report: Report, measuring: Measuring) -> None:
    """Memory, recorded passes and times of one text window."""
    device, name = measuring.device, measuring.name
    _release(device)
    readings = [read(device, "before loading")]
    model = build(device, measuring.config)
    weights_bytes = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    bytes_per_s = bandwidth(device) if device.type == "cuda" else None
    alone_ms = None
    with report.part(f"{name}, transformers' generate"):
        alone_ms = generate_ms(model, device)
    _release(device)
    readings.append(read(device, "weights loaded"))
    rows = CPU_ROWS
    if device.type == "cuda":
        rows = slots(free_memory_bytes(str(device)), measuring.text_window, config=model.config)
    batched = batched_model(model, rows, measuring.text_window)
    warm_s = timed(device, lambda: batched.warm_up([DELAY_TOKENS]))
    readings.append(read(device, "after the warm-up"))
    per_row = row_bytes(model.config, measuring.text_window, model.dtype.itemsize)
    print(f"{rows} slots of {per_row / 1e6:.0f} MB; warm after {warm_s:.1f} s")
    print(f"{batched.kernels_text}; {batched.compilation}")
    expect_recorded(report, name, batched)
    found = []
    for sessions in counts(rows):
        times_ms = passes_ms(batched, sessions, measuring.text_window, measuring.passes)
        floor_ms = None
        if bytes_per_s is not None:
            floor_ms = 1000 * (weights_bytes + sessions * per_row) / bytes_per_s
        found.append(_row(measuring, sessions, times_ms, floor_ms))
    for row in range(rows):
        batched.rest(row)
    readings.append(read(device, "after all sessions"))
    print(table(found))
    for row in found:
        report.measured("passes", row)
    summary = {"window": measuring.text_window, "slots": rows} | _times(found, alone_ms)
    summary |= {"warm s": warm_s, "GB/s": None if bytes_per_s is None else round(bytes_per_s / 1e9)}
    print(table([summary]))
    report.measured("shapes", summary)
    if device.type == "cuda":
        _show_goals(report, summary, found[0]["p50 / floor"])
        line = documented(report.about, summary, found)
        print(f"for docs/models.md:\n{line}")
        report.measured("documentation", {"line": line})
    check_memory(report, name, readings)
    check_passes(report, name, batched, few=True)


def _row(measuring: Measuring, sessions: int, times_ms: list[float], floor_ms: float | None) -> dict[str, Any]:
    p50, p99 = percentile(times_ms, 0.5), percentile(times_ms, 0.99)
    return {
        "window": measuring.text_window,
        "sessions": sessions,
        "p50 ms": p50,
        "p99 ms": p99,
        "floor ms": floor_ms,
        "p50 / floor": None if floor_ms is None else p50 / floor_ms,
    }


def _times(found: list[dict[str, Any]], alone_ms: float | None) -> dict[str, Any]:
    """A line of the table of cards in docs/models.md."""
    within = {limit: max((r["sessions"] for r in found if r["p99 ms"] <= limit), default=0) for limit in LIMITS_MS}
    return {
        "1 session p50 ms": found[0]["p50 ms"],
        "all slots p50 ms": found[-1]["p50 ms"],
        "all slots p99 ms": found[-1]["p99 ms"],
        **{f"sessions in {limit:.0f} ms": sessions for limit, sessions in within.items()},
        "generate ms": alone_ms,
        "times generate": None if alone_ms is None else within[FRAME_MS] * alone_ms / FRAME_MS,
    }


def _show_goals(report: Report, summary: dict[str, Any], over_floor: float) -> None:
    """Goals say how good it is, not whether it works: they do not count as checks."""
    window = summary["window"]
    goals = [
        Figure(f"window {window}: 1 session, p50 over its floor", over_floor, "×", 2),
        Figure(f"window {window}: all {summary['slots']} slots, p99", summary["all slots p99 ms"], "ms", LIMIT_MS),
    ]
    if (gain := summary["times generate"]) is not None:
        goals.append(Figure(f"window {window}: sessions over generate's", gain, "×", 20, wants_more=True))
    for goal in goals:
        print(show(goal))
        report.measured("goals", asdict(goal) | {"met": goal.met})


def documented(about: dict[str, Any], summary: dict[str, Any], found: list[dict[str, Any]]) -> str:
    """The line of the table in docs/models.md that this run has measured."""
    one = found[0]
    served = [row for row in found if row["p99 ms"] <= LIMIT_MS] or [one]
    pass_ms = served[-1]["p50 ms"]
    cells = [
        about["device"],
        summary["window"],
        summary["slots"],
        summary[f"sessions in {LIMIT_MS:.0f} ms"],
        f"{one['p50 ms']:.1f} ms ({one['floor ms']:.1f})",
        f"{pass_ms:.0f} ms",
        f"{DELAY_MS + SHOWN_AFTER_MS + pass_ms:.0f} ms",
        f"measured on {about['device']}, driver {about['driver']}, torch {about['torch']}, {str(about['commit'])[:12]}",
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _release(device: torch.device) -> None:
    """Give back what PyTorch keeps for later, so that what is free is free."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
