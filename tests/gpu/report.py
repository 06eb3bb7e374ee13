"""What a check on a GPU has found: each check with what was expected and what was found, as a table and as JSON.

The file is written again after each part, so that a run that hangs or dies leaves what it had found.
"""

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch

from shared.gpus import driver_version
from shared.version import VERSION
from tests.bench.figures import machine
from tests.stack import PROJECT


class Status(StrEnum):
    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    status: Status
    expected: str = ""
    found: str = ""
    """Of a skipped check, why it was."""

    def line(self) -> str:
        if self.status is Status.FAILED:
            return f"{self.status:<8} {self.name}\n         expected: {self.expected}\n         found:    {self.found}"
        return f"{self.status:<8} {self.name}: {self.found}"


@dataclass
class Report:
    path: Path
    about: dict[str, Any]
    checks: list[Check] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    """Measurements by their part, as they stand in the JSON."""
    took_s: dict[str, float] = field(default_factory=dict)
    _started_s: float = field(default_factory=time.perf_counter)

    @property
    def passed(self) -> bool:
        return all(check.status is not Status.FAILED for check in self.checks)

    def expect(self, name: str, met: bool, *, expected: str, found: str) -> None:
        self._add(Check(name, Status.PASSED if met else Status.FAILED, expected, found))

    def skip(self, name: str, why: str) -> None:
        self._add(Check(name, Status.SKIPPED, found=why))

    def measured(self, part: str, row: dict[str, Any]) -> None:
        self.results.setdefault(part, []).append(row)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Whatever goes wrong in a part is a failed check of its own, and the next part runs."""
        print(f"\n{name}", flush=True)
        started_s = time.perf_counter()
        try:
            yield
        except Exception as error:  # noqa: BLE001 -- the other parts are worth running
            last = "".join(traceback.format_exception(error))[-3000:]
            print(last, file=sys.stderr)
            reason = " ".join(str(error).split())[:500]
            self.expect(
                f"{name} runs to its end", False, expected="no error", found=f"{type(error).__name__}: {reason}"
            )
            self.measured("tracebacks", {"part": name, "traceback": last})
        self.took_s[name] = round(time.perf_counter() - started_s, 1)
        self.write()

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "about": self.about,
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
            "took_s": self.took_s,
            **self.results,
        }
        self.path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def conclude(self) -> int:
        """Print what failed once more, and where it is written; gives the exit status."""
        self.write()
        failed = [check for check in self.checks if check.status is Status.FAILED]
        skipped = sum(check.status is Status.SKIPPED for check in self.checks)
        took_s = time.perf_counter() - self._started_s
        print(f"\n{len(self.checks)} checks: {len(failed)} failed, {skipped} skipped; {took_s:.0f} s")
        for check in failed:
            print(check.line())
        print(f"written to {self.path}")
        return 1 if failed else 0

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        print(check.line(), flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """Rows with the same keys, numbers to three digits."""
    if not rows:
        return ""
    shown = [list(rows[0])] + [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in shown) for column in range(len(shown[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in shown)


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else f"{value}"


def about(device: torch.device) -> dict[str, Any]:
    """The machine, the card, and the versions of all that a result depends on."""
    found: dict[str, Any] = {
        "device": "CPU",
        "machine": machine(),
        "driver": driver_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "version": VERSION,
        "commit": _commit(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found["device"] = properties.name
        found["memory_gb"] = round(properties.total_memory / 1e9, 1)
        found["compute_capability"] = f"{properties.major}.{properties.minor}"
    return found


def _commit() -> str | None:
    """Of this checkout, with + if files differ from it; None outside of git."""
    commands = (["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"])
    try:
        commit, changes = (
            subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changes else "")
