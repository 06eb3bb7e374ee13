"""The engine for live transcription on a GPU: Voxtral Realtime, all sessions in one batch.

Each step takes every session that has 80 ms of new audio on by one position. Sessions join and leave between any two
steps; see `rows` for where they sit, `model` for the pass, and `session` for what becomes of a token.
"""

import time
from dataclasses import replace
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from shared.errors import ServerBusyError
from shared.events import DELAYS_MS, SessionOptions
from worker.engines.base import EngineInfo, History, Output
from worker.engines.loading.checkpoints import free_memory_bytes
from worker.engines.loading.out_of_memory import memory_needed
from worker.engines.speech.vad import WINDOW_SAMPLES, SileroVad, VadState
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.rows import Rows
from worker.engines.voxtral_realtime.session import Session
from worker.engines.voxtral_realtime.vocabulary import Vocabulary
from worker.progress import STARTING

SPARE_BYTES: Final = 256 * 1024**2
"""To be free after the warm-up: libraries may still make plans and buffers."""

log = structlog.get_logger()


class VoxtralRealtimeEngine:
    """See `worker.engines.base.Engine`."""

    def __init__(
        self, model: BatchedModel, vocabulary: Vocabulary, prompt: Prompt, info: EngineInfo, *, default_delay_ms: int
    ) -> None:
        self.info = info
        self._model = model
        self._vocabulary = vocabulary
        self._prompt = prompt
        self._default_delay_ms = default_delay_ms
        self._rows = Rows(info.slots)
        self._sessions: dict[str, Session] = {}
        self._vad = SileroVad()

    def warm_up(self) -> None:
        """Hear the silence that sessions begin with, for each delay, and run or record every shape of a pass.

        Raises `StartupError` when memory does not suffice for the slots.
        """
        self._vad.probabilities(VadState(), np.ones(WINDOW_SAMPLES, np.float32))
        device = self.info.device
        with memory_needed(device=device, slots=self.info.slots):
            self._model.warm_up({self._prompt.delay_tokens(delay_ms) for delay_ms in DELAYS_MS}, STARTING.recorded)
        how = "replayed as CUDA graphs" if self._model.recorded else "run from Python"
        self.info = replace(self.info, passes=f"{how}; attention: {self._model.attention}")
        free_bytes = free_memory_bytes(device)
        free = {"device": device, "slots": self.info.slots, "free_mb": round(free_bytes / 1e6)}
        log.info("memory_after_warm_up", passes=self.info.passes, **free)
        if free_bytes < SPARE_BYTES:
            log.warning("memory_short", message="Sessions may run out of memory; lower model.slots.", **free)

    def open(self, session_id: str, options: SessionOptions, *, start_samples: int = 0, segment: int = 0) -> None:
        """Raises `ServerBusyError` when all slots are taken."""
        if len(self._rows) >= self.info.slots:
            raise ServerBusyError(f"All {self.info.slots} slots of this worker are taken.")
        self._rows.take(session_id)
        self._sessions[session_id] = Session(
            options,
            self._prompt,
            self._vocabulary,
            start_samples=start_samples,
            segment=segment,
            default_delay_ms=self._default_delay_ms,
            vad=self._vad,
        )

    def recall(self, session_id: str, history: History) -> None:
        """See `worker.engines.base.Remembering`."""
        self._sessions[session_id].recall(history)

    def feed(self, session_id: str, pcm: NDArray[np.float32]) -> None:
        self._sessions[session_id].feed(pcm)

    def configure(self, session_id: str, options: SessionOptions) -> None:
        self._sessions[session_id].configure(options)

    def commit(self, session_id: str) -> None:
        self._sessions[session_id].commit()

    def finish(self, session_id: str) -> None:
        self._sessions[session_id].finish()

    def close(self, session_id: str) -> None:
        if self._sessions.pop(session_id, None) is None:
            return
        move = self._rows.release(session_id)
        if move is not None:
            self._model.move(move.source, move.target)
        self._model.rest(len(self._rows))

    def step(self) -> list[tuple[str, Output]]:
        due = [session_id for session_id in self._rows if self._sessions[session_id].is_ready]
        if due:
            self._pass(due)
        return [(key, output) for key, session in self._sessions.items() for output in session.take_outputs()]

    def ready(self) -> bool:
        return any(session.is_ready or session.has_outputs for session in self._sessions.values())

    def absorbed_samples(self, session_id: str) -> int:
        return self._sessions[session_id].absorbed_samples

    def checkpoint_samples(self, session_id: str) -> int:
        return self._sessions[session_id].checkpoint_samples

    def _pass(self, due: list[str]) -> None:
        started_s = time.perf_counter()
        windows = [self._stage(self._rows[session_id], self._sessions[session_id]) for session_id in due]
        tokens = self._model.run(len(self._rows))
        model_ms = (time.perf_counter() - started_s) * 1000
        for session_id, window in zip(due, windows, strict=True):
            self._sessions[session_id].take(window, tokens[self._rows[session_id]], model_ms)

    def _stage(self, row: int, session: Session) -> NDArray[np.float32]:
        if session.is_at_start:
            self._model.start(row, session.delay_tokens)
        window = session.window()
        self._model.stage(row, window, session.forced_token)
        return window
