"""A measured figure, its target, and how they are shown and saved."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from worker.load import nearest_rank


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    target: float | None = None
    """The upper limit, or None if it is only for comparison."""
    wants_more: bool = False
    """The target is a lower limit."""

    @property
    def met(self) -> bool:
        if self.target is None:
            return True
        return self.value >= self.target if self.wants_more else self.value <= self.target


def percentile(values: Sequence[float], quantile: float) -> float:
    """Nearest-rank percentile; NaN if there are no values."""
    return nearest_rank(sorted(values), quantile) if values else float("nan")


def machine() -> str:
    """A description of the machine: processor, cores, memory, system."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} {platform.release()}"


def show(figure: Figure) -> str:
    target = "" if figure.target is None else f"{'≥' if figure.wants_more else '≤'} {figure.target:g}"
    verdict = "" if figure.target is None else ("met" if figure.met else "MISSED")
    return f"{figure.name:<64} {figure.value:>9.1f} {figure.unit:<8} {target:>8}  {verdict}"


def keep(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON, with the machine that they were measured on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "figures": [asdict(figure) for figure in figures]}, indent=2))
