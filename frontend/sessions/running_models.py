"""The models that run now: workers' heartbeats, taken together by what they serve."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from shared.bus.registry import WorkerReport
from shared.whisper_models import whisper_model


@dataclass(frozen=True, slots=True)
class RunningModel:
    """One model and the workers that serve it, which are alike in all but their load."""

    name: str
    engine: str
    modes: tuple[str, ...]
    languages: tuple[str, ...]
    """ISO 639-1 codes; empty when the model ignores language."""
    workers: int
    slots: int
    slots_free: int
    """By the last heartbeats."""
    capacity: int = 0
    """Sessions that may be admitted: all slots, but of a worker that is overloaded only those that it serves. None if
    no worker takes new sessions: those that end must not be replaced before its load has fallen."""

    def answers_to(self, name: str) -> bool:
        """Whether a client may mean this model: the part after the last `/` is enough, and case does not count."""
        own = self.name.casefold()
        return not {own, own.rstrip("/").rpartition("/")[2]}.isdisjoint({name.casefold(), whisper_model(name)})

    def speaks(self, language: str | None) -> bool:
        return language is None or not self.languages or language in self.languages

    def speaks_one_of(self, languages: Collection[str] | None) -> bool:
        return languages is None or any(map(self.speaks, languages))

    def to_wire(self) -> dict[str, Any]:
        """What clients and operators are told of it. Its `model` is what a client may ask for."""
        return {
            "model": self.name,
            "engine": self.engine,
            "modes": list(self.modes),
            "workers": self.workers,
            "slots": self.slots,
            "slots_free": self.slots_free,
        }


def running_models(workers: Iterable[WorkerReport]) -> list[RunningModel]:
    """The models by name. A worker that is about to stop does not count."""
    by_model: dict[str, list[WorkerReport]] = {}
    for worker in workers:
        if not worker.draining:
            by_model.setdefault(worker.model, []).append(worker)
    return [_joined(by_model[name]) for name in sorted(by_model)]


def _joined(workers: list[WorkerReport]) -> RunningModel:
    first = workers[0]
    return RunningModel(
        name=first.model,
        engine=first.engine,
        modes=tuple(first.modes),
        languages=tuple(first.languages),
        workers=len(workers),
        slots=sum(worker.slots for worker in workers),
        slots_free=sum(worker.slots_free for worker in workers),
        capacity=_capacity(workers),
    )


def _capacity(workers: list[WorkerReport]) -> int:
    if all(worker.overloaded for worker in workers):
        return 0
    return sum(worker.sessions if worker.overloaded else worker.slots for worker in workers)
