"""The engine for live transcription on a GPU: Voxtral Realtime, all sessions in one batch.

Each step advances every session that has 80 ms of new audio by one position. Sessions join and leave between any two
steps; `rows` assigns them to rows, `model` runs the pass, and `session` turns tokens into outputs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from shared.session_options import DELAYS_MS, SessionOptions
from worker.engines.base import EngineInfo, History, Output, PassTime
from worker.engines.keyterms.trie import Trie
from worker.engines.loading.checkpoints import free_memory_bytes
from worker.engines.loading.out_of_memory import memory_needed
from worker.engines.speech.vad import WINDOW_SAMPLES, SileroVad, VadState
from worker.engines.voxtral_realtime.calibration import FRAME_MS, LIMIT_MS, fitted, typical_ms
from worker.engines.voxtral_realtime.gathering import GATHER_S, Gathering
from worker.engines.voxtral_realtime.loudness import HOP_SAMPLES, levels_of
from worker.engines.voxtral_realtime.model import BatchedModel
from worker.engines.voxtral_realtime.prefill import CHUNK, MIN_CHUNK
from worker.engines.voxtral_realtime.prompt import Prompt
from worker.engines.voxtral_realtime.rows import Rows
from worker.engines.voxtral_realtime.session import Session
from worker.engines.voxtral_realtime.stretch import Stretch
from worker.engines.voxtral_realtime.vocabulary import Vocabulary
from worker.progress import STARTING
from worker.turns.judge import TurnJudge

SPARE_BYTES: Final = 256 * 1024**2
"""Memory that must be free after the warm-up: libraries may still allocate plans and buffers."""
GPU_PASSES: Final = 20
CPU_PASSES: Final = 5
"""Passes that time a tick when slots are calibrated."""
HOST_TICKS: Final = 200

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Flight:
    """A pass that has been launched and not read."""

    members: list[tuple[str, int, Session, Stretch]]
    """Id, row, session, and its stretch: a token has no meaning in another one."""
    levels: NDArray[np.float32]
    """By row, `[batch, hops]`."""
    started_s: float
    timed_from_s: float
    """By the clock of the load measurement."""


@dataclass(frozen=True, slots=True)
class _Finished:
    """A pass whose tokens have been read."""

    flight: _Flight
    tokens: list[int]
    log_probabilities: list[float]
    """Both by row."""
    model_ms: float


class VoxtralRealtimeEngine:
    """See `worker.engines.base.Engine`."""

    def __init__(
        self,
        model: BatchedModel,
        vocabulary: Vocabulary,
        prompt: Prompt,
        info: EngineInfo,
        *,
        default_delay_ms: int,
        slots_are_set: bool,
    ) -> None:
        self.info = info
        self._overlaps = info.device != "cpu"
        """On a CPU a pass is complete when it has been launched: overlap would only delay the previous pass's text."""
        self._clock: Callable[[], float] = time.monotonic
        self._pass_clock = time.perf_counter if info.device != "cpu" else time.thread_time
        """The clock that times passes for the load. On a CPU it does not count the time that other programs take."""
        self._model = model
        self._vocabulary = vocabulary
        self._prompt = prompt
        self._default_delay_ms = default_delay_ms
        self._slots_are_set = slots_are_set
        self._rows = Rows(info.slots)
        self._sessions: dict[str, Session] = {}
        self._due: dict[str, float] = {}
        """Time since when sessions wait for a pass."""
        self._with_outputs: dict[str, Session] = {}
        self._gathering = Gathering(FRAME_MS / 1000, GATHER_S if info.device != "cpu" else 0.0)
        """A CPU takes as long for a pass over two sessions as for two passes."""
        self._new_terms: dict[str, Trie | None] = {}
        """The key terms of sessions that have changed them since the last pass."""
        self._flight: _Flight | None = None
        self._recalling: str | None = None
        """The session that processes its past in chunks, and takes part in no pass until it has finished."""
        self._passes: list[PassTime] = []
        self._delivered_s = 0.0
        self._vad = SileroVad()
        self.turn_judge = TurnJudge()

    def warm_up(self) -> None:
        """Process the silence that sessions begin with, for each delay, and run or record every shape of a pass.

        Raises `StartupError` if memory is not enough for the slots.
        """
        self._vad.probabilities(VadState(), np.ones(WINDOW_SAMPLES, np.float32))
        device = self.info.device
        with memory_needed(device=device, slots=self.info.slots):
            self._calibrate()
            self._model.warm_up({self._prompt.delay_tokens(delay_ms) for delay_ms in DELAYS_MS}, STARTING.recorded)
        how = "replayed as CUDA graphs" if self._model.recorded else "run from Python"
        passes = f"{how}; {self._model.kernels_text}; {self._model.compilation}"
        self.info = replace(self.info, passes=passes)
        free_bytes = free_memory_bytes(device)
        free = {"device": device, "slots": self.info.slots, "free_mb": round(free_bytes / 1e6)}
        log.info("memory_after_warm_up", passes=self.info.passes, **free)
        if free_bytes < SPARE_BYTES:
            log.warning("memory_short", message="Sessions may run out of memory; lower model.slots.", **free)

    def _calibrate(self) -> None:
        """Lower the slots to the number that is served in time, unless it is configured."""
        host_ms = self._host_ms()
        on_gpu = self.info.device != "cpu"

        def tick_ms(sessions: int) -> float:
            passes_ms = self._model.full_passes_ms(sessions, GPU_PASSES if on_gpu else CPU_PASSES, 4 * LIMIT_MS)
            return typical_ms(passes_ms, on_gpu=on_gpu) + sessions * host_ms

        fit = fitted(self.info.slots, tick_ms, is_set=self._slots_are_set)
        self._model.limit(fit.slots)
        self._rows = Rows(fit.slots)
        self.info = replace(self.info, slots=fit.slots, slots_reason=fit.reason)
        measured = {"slots": fit.slots, "tick_ms": round(fit.tick_ms, 1), "host_us": round(1000 * host_ms, 1)}
        log.info("slots_calibrated", reason=fit.reason, limit_ms=LIMIT_MS, **measured)
        if fit.tick_ms > LIMIT_MS:
            message = f"A pass over {fit.slots} sessions and its host work take {fit.tick_ms:.0f} ms"
            if fit.in_time < fit.slots:
                log.warning("slots_too_many", message=f"{message}; lower model.slots to {fit.in_time}.", **measured)
            else:
                log.warning("device_too_slow", message=f"{message}: text may be late even for one.", **measured)

    def _host_ms(self) -> float:
        """Host time of a session in a tick, without its staging, which is part of the timed passes: the median."""
        session = self._new_session(SessionOptions(), 0, 0)
        frame = np.random.default_rng(0).standard_normal(self._prompt.frame_samples).astype(np.float32) * 0.1
        tokens = [self._vocabulary.word_token, *self._vocabulary.tokens(" a")[:1], *[self._vocabulary.pad_token] * 3]
        times_ms = []
        for tick in range(HOST_TICKS):
            started_s = time.perf_counter()
            session.feed(frame)
            if session.is_ready:
                heard = session.window()[self._prompt.lead_samples :][: self._prompt.frame_samples]
                session.take(levels_of(heard), tokens[tick % len(tokens)], 0.0, -0.1)
                session.take_outputs()
            times_ms.append((time.perf_counter() - started_s) * 1000)
        return sorted(times_ms)[HOST_TICKS // 2]

    def open(self, session_id: str, options: SessionOptions, *, start_samples: int = 0, segment: int = 0) -> None:
        """Raises `ServerBusyError` when all slots are taken."""
        self.info.check_free(len(self._rows))
        self._rows.take(session_id)
        self._sessions[session_id] = session = self._new_session(options, start_samples, segment)
        if options.keyterms:
            self._new_terms[session_id] = self._vocabulary.tries.of(options.keyterms)
        self._note(session_id, session)

    def recall(self, session_id: str, history: History) -> None:
        """See `worker.engines.base.Remembering`."""
        self._sessions[session_id].recall(history)

    def feed(self, session_id: str, pcm: NDArray[np.float32]) -> None:
        session = self._sessions[session_id]
        session.feed(pcm)
        if session_id not in self._due and session.is_ready:
            self._due[session_id] = now_s = self._clock()
            self._gathering.came(session_id, now_s)

    def configure(self, session_id: str, options: SessionOptions) -> None:
        session = self._sessions[session_id]
        if options.keyterms != session.keyterms:
            self._new_terms[session_id] = self._vocabulary.tries.of(options.keyterms)
        session.configure(options)
        self._note(session_id, session)

    def commit(self, session_id: str) -> None:
        session = self._sessions[session_id]
        session.commit()
        self._note(session_id, session)

    def finish(self, session_id: str) -> None:
        session = self._sessions[session_id]
        session.finish()
        self._note(session_id, session)

    def close(self, session_id: str) -> None:
        if self._sessions.pop(session_id, None) is None:
            return
        self._due.pop(session_id, None)
        self._new_terms.pop(session_id, None)
        self._with_outputs.pop(session_id, None)
        self._gathering.forget(session_id)
        move = self._rows.release(session_id)
        if move is not None:
            self._model.move(move.source, move.target)
        self._model.rest(len(self._rows))

    def step(self) -> list[tuple[str, Output]]:
        """The next pass is launched before the sessions get the tokens of the previous one."""
        finished = self._finish_pass() if self._flight is not None else None
        if self._due:
            self._prefill(finished)
        if self._due.keys() - {self._recalling} and not self._gathering_s():
            self._flight = self._launch()
        self._listen()
        if finished is not None:
            self._deliver(finished)
        if not self._overlaps and self._flight is not None:
            self._deliver(self._finish_pass())
        with_outputs, self._with_outputs = self._with_outputs, {}
        return [(key, output) for key, session in with_outputs.items() for output in session.take_outputs()]

    def pause_s(self) -> float:
        """See `worker.engines.base.Paced`."""
        return 0.0 if self._flight is not None or self._with_outputs else self._gathering_s()

    def ready(self) -> bool:
        return bool(self._due or self._with_outputs) or self._flight is not None or self._has_unheard_turns()

    def take_passes(self) -> list[PassTime]:
        """See `worker.engines.base.Timed`."""
        passes, self._passes = self._passes, []
        return passes

    def absorbed_samples(self, session_id: str) -> int:
        return self._sessions[session_id].absorbed_samples

    def checkpoint_samples(self, session_id: str) -> int:
        return self._sessions[session_id].checkpoint_samples

    def _new_session(self, options: SessionOptions, start_samples: int, segment: int) -> Session:
        return Session(
            options,
            self._prompt,
            self._vocabulary,
            start_samples=start_samples,
            segment=segment,
            default_delay_ms=self._default_delay_ms,
            vad=self._vad,
            judge=self.turn_judge,
        )

    def _note(self, session_id: str, session: Session) -> None:
        """Record whether the session waits for a pass, or has outputs to be taken."""
        if not session.is_ready:
            self._due.pop(session_id, None)
        elif session_id not in self._due:
            self._due[session_id] = self._clock()
        if session.has_outputs:
            self._with_outputs[session_id] = session

    def _has_unheard_turns(self) -> bool:
        return any(session.has_unheard_turns for session in self._sessions.values())

    def _listen(self) -> None:
        """Look for the ends of turns, in sessions that request it."""
        for session_id, session in self._sessions.items():
            if session.has_unheard_turns:
                session.listen()
                if session.has_outputs:
                    self._with_outputs[session_id] = session

    def _prefill(self, finished: _Finished | None) -> None:
        """Process a chunk of known positions of one session; the others wait for one chunk at most.

        Positions are processed in order: not before the session has the tokens of the last pass that was read.
        """
        self._recalling = self._next_recalling()
        if self._recalling is None:
            return
        if finished is not None and any(self._recalling == one for one, *_ in finished.flight.members):
            return
        self._run_known(self._recalling)
        if self._sessions[self._recalling].known_positions < MIN_CHUNK:
            self._recalling = None

    def _next_recalling(self) -> str | None:
        """One session after another, each until only few of its positions are left."""
        if self._recalling in self._due and self._sessions[self._recalling].known_positions >= MIN_CHUNK:
            return self._recalling
        return next((one for one in self._due if self._sessions[one].known_positions >= MIN_CHUNK), None)

    def _run_known(self, session_id: str) -> None:
        session, row, lead = self._sessions[session_id], self._rows[session_id], self._prompt.lead_samples
        stretch = session.stretch
        if stretch.is_at_start:
            self._model.start(row, stretch.delay_tokens)
        tokens: list[int] = []
        windows: list[NDArray[np.float32]] = []
        for _ in range(min(session.known_positions, CHUNK)):
            tokens.append(stretch.forced_token)
            windows.append(session.window().copy())
            levels = levels_of(windows[-1][lead : lead + self._prompt.frame_samples])
            session.take(levels, self._prompt.pad_token, 0.0)  # the token there is known or not used
            if session.stretch is not stretch:
                break
        self._model.prefill(row, np.stack(windows), tokens)
        self._note(session_id, session)

    def _gathering_s(self) -> float:
        """How long the next pass waits for more sessions; not at all if one is behind real time, or is about to end."""
        if not self._gathering.longest_s or not self._due:
            return 0.0
        pause_s = self._gathering.pause_s(self._due, self._clock())
        return 0.0 if pause_s and any(self._sessions[one].is_behind for one in self._due) else pause_s

    def _launch(self) -> _Flight:
        """Start a pass over all sessions that are due, except the one that processes its past."""
        started_s, timed_from_s, now_s = time.perf_counter(), self._pass_clock(), self._clock()
        due, self._due = self._due, {}
        self._prefer_terms()
        members = []
        for session_id, since_s in due.items():
            if session_id == self._recalling:
                self._due[session_id] = since_s
                continue
            session, row = self._sessions[session_id], self._rows[session_id]
            stretch = session.stretch
            if stretch.is_at_start:
                self._model.start(row, stretch.delay_tokens)
            forced_token = stretch.forced_token
            self._model.stage(row, session.window(), forced_token)
            members.append((session_id, row, session, stretch))
            if session.is_ready:
                self._due[session_id] = now_s
        batch = len(self._rows)
        self._model.launch(batch)
        levels = self._frame_levels([row for _, row, *_ in members], batch)
        return _Flight(members, levels, started_s, timed_from_s)

    def _prefer_terms(self) -> None:
        """Apply changed key terms, while no pass is in flight."""
        while self._new_terms:
            session_id, trie = self._new_terms.popitem()
            self._model.prefer(self._rows[session_id], trie)

    def _frame_levels(self, rows: list[int], batch: int) -> NDArray[np.float32]:
        """How loud the frames of these rows are, `[batch, hops]`. Computed while the device runs the pass."""
        lead, frame = self._prompt.lead_samples, self._prompt.frame_samples
        frames = self._model.staged_pcm(batch)[:, lead : lead + frame]
        if len(rows) == batch:
            return levels_of(frames)
        levels = np.zeros((batch, frame // HOP_SAMPLES), np.float32)
        levels[rows] = levels_of(frames[rows])
        return levels

    def _finish_pass(self) -> _Finished:
        """Wait for the pass that has been launched."""
        flight, self._flight = self._flight, None
        assert flight is not None, "no pass has been launched"
        tokens = self._model.read()
        model_ms = (time.perf_counter() - flight.started_s) * 1000
        return _Finished(flight, tokens, self._model.log_probabilities, model_ms)

    def _deliver(self, finished: _Finished) -> None:
        """Pass the tokens on to the sessions, except those that were closed or restarted after the launch."""
        flight, tokens, model_ms = finished.flight, finished.tokens, finished.model_ms
        for session_id, row, session, stretch in flight.members:
            if session.stretch is stretch and self._sessions.get(session_id) is session:
                session.take(flight.levels[row], tokens[row], model_ms, finished.log_probabilities[row])
                if session.stretch is not stretch:
                    self._note(session_id, session)
                elif session.has_outputs:
                    self._with_outputs[session_id] = session
        delivered_s = self._pass_clock()
        pass_ms = (delivered_s - max(flight.timed_from_s, self._delivered_s)) * 1000  # overlapping passes share no time
        self._passes.append(PassTime(pass_ms, len(flight.members)))
        self._delivered_s = delivered_s
