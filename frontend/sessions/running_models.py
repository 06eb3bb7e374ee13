"""The running models: workers' heartbeats, grouped by model."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.bus.registry import WorkerReport
from shared.protocol import OWN
from shared.whisper_models import whisper_model


@dataclass(frozen=True, slots=True)
class RunningModel:
    """One model and the workers that serve it, which differ only in their load."""

    name: str
    engine: str
    modes: tuple[str, ...]
    languages: tuple[str, ...]
    """ISO 639-1 codes; empty if the model ignores language."""
    workers: int
    slots: int
    slots_free: int
    """As of the last heartbeats."""
    capacity: int = 0
    """Sessions that may be admitted: all slots; of an overloaded worker only the slots in use. 0 if no worker accepts
    new sessions: sessions that end must not be replaced before the load has fallen."""
    most_tracks: int = 0
    """The largest number of channels that one of its workers transcribes separately; 0 if none is of a version that
    can."""

    def answers_to(self, name: str) -> bool:
        """Whether a client may mean this model: the part after the last `/` is enough, and case is ignored."""
        own = self.name.casefold()
        return not {own, own.rstrip("/").rpartition("/")[2]}.isdisjoint({name.casefold(), whisper_model(name)})

    def speaks(self, language: str | None) -> bool:
        return language is None or not self.languages or language in self.languages

    def speaks_one_of(self, languages: Collection[str] | None) -> bool:
        return languages is None or any(map(self.speaks, languages))

    def to_wire(self) -> dict[str, Any]:
        """The description for clients and operators. Its `model` is the name that a client may request."""
        return {
            "model": self.name,
            "engine": self.engine,
            "modes": list(self.modes),
            "workers": self.workers,
            "slots": self.slots,
            "slots_free": self.slots_free,
        }


def named(name: str, models: Sequence[RunningModel]) -> list[RunningModel]:
    """The models that a client means by a name: those with exactly this name, otherwise those that answer to it."""
    return [model for model in models if model.name == name] or [model for model in models if model.answers_to(name)]


def serving(workers: Iterable[WorkerReport]) -> list[WorkerReport]:
    """Those that this version uses for new sessions, while they have free slots."""
    return [worker for worker in workers if not worker.draining and OWN.fits(worker.protocol)]


def running_models(workers: Iterable[WorkerReport]) -> list[RunningModel]:
    """The models by name. Workers that are not `serving` are ignored."""
    by_model: dict[str, list[WorkerReport]] = {}
    for worker in serving(workers):
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
        most_tracks=max(worker.most_tracks for worker in workers),
    )


def _capacity(workers: list[WorkerReport]) -> int:
    if all(worker.overloaded for worker in workers):
        return 0
    return sum(worker.slots_taken if worker.overloaded else worker.slots for worker in workers)
