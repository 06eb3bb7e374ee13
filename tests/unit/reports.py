"""Reports of workers with the engine `echo`."""

from dataclasses import replace
from typing import Any

from shared.bus.registry import Percentiles, WorkerReport


def report(model: str, sessions: int, **fields: Any) -> WorkerReport:
    """A worker with two slots; `fields` replace those of its report."""
    standard = WorkerReport(
        id=f"{model}-{sessions}",
        host="host",
        pid=1,
        version="1",
        started_at=0.0,
        engine="echo",
        model=model,
        device="cpu",
        compute_type="none",
        modes=["transcribe"],
        languages=[],
        slots=2,
        sessions=sessions,
        draining=False,
        lag_ms=0.0,
        real_time_factor=0.0,
        batch_size=0.0,
        step=Percentiles(),
        latency={},
        rss_bytes=0,
    )
    return replace(standard, **fields)
