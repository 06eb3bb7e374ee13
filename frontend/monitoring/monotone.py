"""Keeps counters from falling: Prometheus would read that as a restart at zero, and count the whole value again.

After a failover Redis may lack its last second, so totals and heartbeats may be older than those that were exposed
before. Those from before are then exposed again, until newer ones are there.
"""

from dataclasses import replace
from typing import TypeVar

from frontend.monitoring.status import Snapshot
from shared.bus.registry import FrontendReport, WorkerReport
from shared.bus.totals import epoch_of, fields_of

CPU_TIME = "process_cpu_seconds"

Report = TypeVar("Report", WorkerReport, FrontendReport)


class Monotone:
    """What one health process has exposed before."""

    def __init__(self) -> None:
        self._epoch: bytes | None = None
        self._totals: dict[bytes, float] = {}
        self._workers: dict[str, WorkerReport] = {}
        self._frontends: dict[str, FrontendReport] = {}

    def totals(self, held: dict[bytes, bytes]) -> dict[bytes, float]:
        """The totals, by field, from what `read_totals` has read. They begin at zero again if Redis has lost them all:
        its epoch is then another one."""
        if epoch_of(held) != self._epoch:
            self._epoch, self._totals = epoch_of(held), {}
        for field, value in fields_of(held).items():
            self._totals[field] = max(value, self._totals.get(field, value))
        return dict(self._totals)

    def newest(self, snapshot: Snapshot) -> Snapshot:
        """The same with the newest known report of each process in it."""
        if snapshot.redis_ms is None:
            return snapshot
        self._workers = _newest(snapshot.workers, self._workers)
        self._frontends = _newest(snapshot.frontends, self._frontends)
        return replace(snapshot, workers=[*self._workers.values()], frontends=[*self._frontends.values()])


def _newest(reports: list[Report], before: dict[str, Report]) -> dict[str, Report]:
    """A report is older than another one of its process if the process had used less CPU time."""
    newest = {}
    for report in reports:
        former = before.get(report.id, report)
        is_older = report.resources.get(CPU_TIME, 0.0) < former.resources.get(CPU_TIME, 0.0)
        newest[report.id] = former if is_older else report
    return newest
