"""Asks Smart Turn whether speakers have finished, on a thread of its own: the engine's steps do not wait for it.

The model is loaded when the first session needs it. Every session has at most one question at a time.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from worker.model_files import SMART_TURN
from worker.turns.features import WINDOW_SAMPLES

if TYPE_CHECKING:
    from worker.turns.smart_turn import SmartTurn

CORES_PER_THREAD: Final = 4
MAX_THREADS: Final = 4
MAX_WAITING: Final = 16
"""Questions for each thread. Further ones are not asked, and the plain pause rule decides: an answer would be late."""

log = structlog.get_logger()


class TurnJudge:
    """`ask` and `prepare` are called on the engine's thread."""

    heard_samples = WINDOW_SAMPLES
    """The end of a turn's audio that counts."""

    def __init__(self, executor: Executor | None = None) -> None:
        """`executor` runs the model; None starts threads with the first question."""
        self._executor = executor
        self._threads = max(1, min(MAX_THREADS, (os.cpu_count() or 1) // CORES_PER_THREAD))
        self._loading = threading.Lock()
        self._model: SmartTurn | None = None
        self._has_failed = False
        self._waiting: set[Future[float | None]] = set()
        self.on_answer: Callable[[], None] = _nothing
        """Called after each answer, on any thread."""

    @property
    def is_installed(self) -> bool:
        """Whether there is a model to ask."""
        return SMART_TURN.path.is_file() and not self._has_failed

    def prepare(self) -> None:
        """Load the model in the background, unless it is loaded."""
        if self._model is None and not self._has_failed:
            self._pool().submit(self._loaded)

    def ask(self, pcm: NDArray[np.float32]) -> Future[float | None]:
        """The probability that the speaker of a turn has finished; None if the model cannot be asked.

        `pcm`: the end of the turn, with the pause after it. It must not change.
        """
        self._waiting = {answer for answer in self._waiting if not answer.done()}
        if len(self._waiting) >= MAX_WAITING * self._threads:
            log.warning("turn_question_skipped", waiting=len(self._waiting))
            answer: Future[float | None] = Future()
            answer.set_result(None)
            return answer
        answer = self._pool().submit(self._answer, pcm)
        self._waiting.add(answer)
        answer.add_done_callback(lambda _: self.on_answer())
        return answer

    def _pool(self) -> Executor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="turns")
        return self._executor

    def _answer(self, pcm: NDArray[np.float32]) -> float | None:
        model = self._loaded()
        try:
            return None if model is None else model.probability(pcm)
        except Exception:  # turns that end at pauses are better than no worker
            log.exception("turn_question_failed")
            return None

    def _loaded(self) -> "SmartTurn | None":
        with self._loading:
            if self._model is None and not self._has_failed:
                try:
                    from worker.turns import smart_turn  # noqa: PLC0415 -- few workers need the library

                    self._model = smart_turn.SmartTurn()
                except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no common class
                    self._has_failed = True
                    log.error("turn_model_unavailable", reason=str(error))
            return self._model


def _nothing() -> None:
    """The callback until `on_answer` is set."""
