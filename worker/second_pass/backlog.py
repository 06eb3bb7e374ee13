"""The finals that wait for the second model, oldest first, bounded by the length of their audio.

Any thread may use it.
"""

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import SessionOptions


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One final to decode again."""

    handle: str
    """The session's name in the engine."""
    index: int
    """Of the final, in the session's finals."""
    pcm: NDArray[np.int16]
    start_samples: int
    """Where `pcm` begins in the session's audio."""
    lead_samples: int
    """Silence to put before it, since its speech may begin at once."""
    language: str | None
    """None: to be detected."""
    options: SessionOptions


class Backlog:
    def __init__(self, limit_s: float) -> None:
        self._limit_samples = int(limit_s * SAMPLE_RATE_HZ)
        self._tasks: deque[Task] = deque()
        self._samples = 0
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def put(self, task: Task) -> list[Task]:
        """Add a task. Returns the oldest ones, which were dropped to make room for it; perhaps the task itself."""
        dropped: list[Task] = []
        with self._changed:
            self._tasks.append(task)
            self._samples += len(task.pcm)
            while self._samples > self._limit_samples:
                dropped.append(self._tasks.popleft())
                self._samples -= len(dropped[-1].pcm)
            self._changed.notify()
        return dropped

    def forget(self, handle: str) -> None:
        """Drop the tasks of a session that has ended."""
        with self._changed:
            self._tasks = deque(task for task in self._tasks if task.handle != handle)
            self._samples = sum(len(task.pcm) for task in self._tasks)

    def wait(self) -> bool:
        """Wait until there is a task; False once the backlog is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._tasks or self._closed)
            return not self._closed

    def take(self, count: int) -> list[Task]:
        """Remove the oldest tasks, at most so many."""
        with self._changed:
            taken = [self._tasks.popleft() for _ in range(min(count, len(self._tasks)))]
            self._samples -= sum(len(task.pcm) for task in taken)
            return taken

    def close(self) -> None:
        """Wake the thread that waits: it has nothing more to do."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
