"""The thread that owns the model. It receives commands, runs batched steps, and passes on their outputs.

Knows no Redis, and only the id of a session. If the engine fails, the worker ends: its state is then undefined, and
its sessions move to another worker.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ
from shared.session_options import CommitDelay, SessionOptions
from worker.engines.base import Engine, History, Output, Paced, Partial, PassTime, Remembering, Timed, TurnTaking
from worker.engines.base import Final as FinalText
from worker.gpu_memory import GpuMemory, GpuMemoryWatch

_IDLE_WAIT_S: Final = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Open:
    session_id: str
    options: SessionOptions
    start_samples: int
    segment: int


@dataclass(frozen=True, slots=True)
class Recall:
    session_id: str
    history: History


@dataclass(frozen=True, slots=True)
class Feed:
    session_id: str
    pcm: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Configure:
    session_id: str
    options: SessionOptions


@dataclass(frozen=True, slots=True)
class Commit:
    session_id: str


@dataclass(frozen=True, slots=True)
class Finish:
    session_id: str


@dataclass(frozen=True, slots=True)
class Close:
    session_id: str


Command = Open | Recall | Feed | Configure | Commit | Finish | Close


class EnginePosition(NamedTuple):
    """How much of one session the engine has processed."""

    absorbed_samples: int
    checkpoint_samples: int


@dataclass(frozen=True, slots=True)
class StepReport:
    """The results of one step."""

    outputs: list[tuple[str, Output]]
    positions: dict[str, EnginePosition]
    started_s: float
    """Wall clock, to compare with the arrival times in the audio entries."""
    step_ms: float
    batch_size: int
    """Sessions that have outputs."""
    audio_s: float
    """Audio that this step absorbed, over all sessions."""
    passes: Sequence[PassTime] | None = None
    """Of a `Timed` engine: the passes that have ended."""
    silent_ms: float = 0.0
    """Time of the steps before it that had no report, since nothing came of them."""

    def pass_ms(self, output: Output) -> float:
        """About how long before the end of the step the pass of an output began.

        That of a `Timed` engine may have begun in an earlier step.
        """
        if self.passes is None or not isinstance(output, Partial | FinalText):
            return self.step_ms
        return max(self.step_ms, output.model_ms)


class EngineThread:
    """Runs an engine. `post` may be called from any thread; `on_step` is called on the engine's.

    `commit_delay` is for sessions that choose none, if the engine supports it. `idle` is set while the engine has no
    work.
    """

    def __init__(
        self,
        engine: Engine,
        on_step: Callable[[StepReport], None],
        on_failure: Callable[[BaseException], None],
        commit_delay: CommitDelay,
        idle: threading.Event | None = None,
    ) -> None:
        self._engine = engine
        self._paced = engine if isinstance(engine, Paced) else None
        self._timed = engine if isinstance(engine, Timed) else None
        self._commit_delay = commit_delay
        self._idle = idle
        self._on_step = on_step
        self._on_failure = on_failure
        self._inbox: deque[Command] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._absorbed: dict[str, int] = {}
        """How far each open session is, which never decreases: audio that is processed again stays absorbed."""
        self._silent_ms = 0.0
        self._gpu_memory = GpuMemoryWatch(engine.info.device)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        if isinstance(engine, TurnTaking):
            engine.turn_judge.on_answer = self._wake.set

    @property
    def gpu_memory(self) -> GpuMemory:
        """Memory of the engine's GPU, about a second old. Any thread may call it."""
        return self._gpu_memory.latest

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)

    def post(self, commands: Iterable[Command]) -> None:
        self._inbox.extend(commands)
        self._wake.set()

    def _run(self) -> None:
        try:
            while not self._stopping:
                if pause_s := self._pause_s():
                    self._wait(pause_s)
                self._wake.clear()
                self._gpu_memory.sample()
                self._turn()
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the worker must be notified
            self._on_failure(error)

    def _wait(self, pause_s: float) -> None:
        if self._idle is None or self._wake.is_set() or self._engine.ready():
            self._wake.wait(pause_s)
            return
        self._idle.set()
        self._wake.wait(pause_s)
        self._idle.clear()

    def _pause_s(self) -> float:
        """How long to wait for the next command."""
        if not self._engine.ready():
            return _IDLE_WAIT_S
        return self._paced.pause_s() if self._paced is not None else 0.0

    def _turn(self) -> None:
        self._step(self._execute_commands())

    def _execute_commands(self) -> set[str]:
        touched = set()
        while self._inbox:
            command = self._inbox.popleft()
            touched.add(command.session_id)
            if isinstance(command, Open) or command.session_id in self._absorbed:
                self._execute(command)
        return touched

    def _execute(self, command: Command) -> None:
        engine, session_id = self._engine, command.session_id
        match command:
            case Feed():  # the most frequent command
                engine.feed(session_id, command.pcm)
            case Open():
                options = self._completed(command.options)
                engine.open(session_id, options, start_samples=command.start_samples, segment=command.segment)
                self._absorbed[session_id] = command.start_samples
            case Recall():
                assert isinstance(engine, Remembering), "only a Remembering engine gets a history"
                engine.recall(session_id, command.history)
            case Configure():
                engine.configure(session_id, self._completed(command.options))
            case Commit():
                engine.commit(session_id)
            case Finish():
                engine.finish(session_id)
            case Close():
                engine.close(session_id)
                del self._absorbed[session_id]

    def _completed(self, options: SessionOptions) -> SessionOptions:
        if options.commit_delay is not None or not self._engine.info.has_commit_delay:
            return options
        return replace(options, commit_delay=self._commit_delay)

    def _step(self, touched: set[str]) -> None:
        started_s, clock_s = time.time(), time.perf_counter()
        outputs = self._engine.step() if self._engine.ready() else []
        step_ms = (time.perf_counter() - clock_s) * 1000
        positions, audio_samples = {}, 0
        for session_id, before in self._absorbed.items():
            absorbed = max(before, self._engine.absorbed_samples(session_id))
            if absorbed > before or session_id in touched:
                audio_samples += absorbed - before
                self._absorbed[session_id] = absorbed
                positions[session_id] = EnginePosition(absorbed, self._engine.checkpoint_samples(session_id))
        passes = self._timed.take_passes() if self._timed is not None else None
        if outputs or positions or passes:
            batch_size = len({session_id for session_id, _ in outputs})
            audio_s = audio_samples / SAMPLE_RATE_HZ
            silent_ms, self._silent_ms = self._silent_ms, 0.0
            self._on_step(StepReport(outputs, positions, started_s, step_ms, batch_size, audio_s, passes, silent_ms))
        else:
            self._silent_ms += step_ms
