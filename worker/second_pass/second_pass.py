"""The thread of the second model. It decodes finals again while the engine has nothing to do.

A decode that has begun is not interrupted, so the model's own threads have the lowest priority (see `model`): live work
that arrives meanwhile does not wait for it.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from shared.events import Scores, Word
from shared.session_options import Mode
from worker.second_pass.backlog import Backlog, Task

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """The second model's text for one final. Positions are those of the session."""

    text: str
    words: tuple[Word, ...]
    language: str | None
    scores: Scores


class Model(Protocol):
    name: str
    modes: tuple[Mode, ...]
    batch: int
    """Finals that it decodes at the same time."""

    def decode(self, tasks: Sequence[Task]) -> list[Answer]: ...


class SecondPass:
    """Owns the model's thread. `on_answer` is called on it; None says that a task has failed."""

    def __init__(
        self,
        model: Model,
        backlog: Backlog,
        idle: threading.Event,
        on_answer: Callable[[Task, Answer | None], None],
    ) -> None:
        """`idle` is set while the engine has no work."""
        self.name = model.name
        self.modes = model.modes
        self.backlog = backlog
        self._model = model
        self._idle = idle
        self._on_answer = on_answer
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="second-pass", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin no further task. Does not wait for the current one."""
        self._stopping = True
        self.backlog.close()
        self._idle.set()

    def _run(self) -> None:
        while self.backlog.wait():
            self._idle.wait()
            if self._stopping:
                return
            tasks = self.backlog.take(self._model.batch)
            for task, answer in zip(tasks, self._decode(tasks), strict=True):
                self._on_answer(task, answer)

    def _decode(self, tasks: Sequence[Task]) -> Sequence[Answer | None]:
        """A failure costs only these revisions: the finals exist already."""
        try:
            return self._model.decode(tasks) if tasks else []
        except Exception as error:  # whatever the library raises, sessions continue without it
            log.error("revision_failed", finals=len(tasks), exc_info=error)
            return [None] * len(tasks)
