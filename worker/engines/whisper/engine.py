"""The embedded engine: Whisper on a CPU for many live sessions at once.

Each step endpoints the new audio of all sessions, decodes the windows that are due in shared batches, and hands out
what is new. Knows how to choose windows; what a window says is the decoder's, what becomes of it the session's.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import ServerBusyError
from shared.events import SessionOptions
from worker.engines.base import EngineInfo, Output
from worker.engines.whisper.decoder import WhisperDecoder
from worker.engines.whisper.pace import warm_up
from worker.engines.whisper.placement import Placement
from worker.engines.whisper.session import Kind, Pass, Session
from worker.engines.whisper.weights import model_directory
from worker.segmenter import SegmenterSettings
from worker.vad import SileroVad

EMBEDDED_NAME = "whisper-base"
MAX_TURNS_BESIDE_LIVE = 2
"""Finals of one session in a step while others speak: a recording could fill every step, and all would wait for it."""


@dataclass(frozen=True, slots=True)
class WhisperSettings:
    """What can be tuned; every default was chosen with `tests/bench/engine_live.py`."""

    segmenter: SegmenterSettings = field(default_factory=SegmenterSettings)
    partial_interval_ms: float = 240.0
    """New audio that a session needs before its next partial."""
    load_share: float = 1.0
    """The interval grows to this many times the length of the last step, so that overload slows all alike."""
    held_back_words: int = 1
    """Words at the edge of a partial that are not shown until another decode agrees."""
    max_jobs: int = 16
    """Windows in one step; more would make the step, and so everyone's wait, longer."""
    max_vad_windows: int = 1000
    """For each session and step: 32 s of audio, about 55 ms."""


def load(
    *,
    path: Path | str | None = None,
    compute_type: str = "int8",
    threads: int = 2,
    slots: int = 16,
    settings: WhisperSettings | None = None,
) -> "WhisperEngine":
    """The engine, loaded but not warm. `path`: a directory or a Hub name; None takes the embedded weights.

    Raises `StartupError`.
    """
    directory = model_directory(str(path) if path is not None else None)
    name = EMBEDDED_NAME if path is None else str(path)
    return WhisperEngine(
        directory, model=name, slots=slots, threads=threads, compute_type=compute_type, settings=settings
    )


class WhisperEngine:
    """See `worker.engines.base.Engine`."""

    def __init__(
        self,
        directory: Path,
        *,
        model: str = EMBEDDED_NAME,
        slots: int = 16,
        threads: int = 2,
        compute_type: str = "int8",
        placement: Placement | None = None,
        settings: WhisperSettings | None = None,
    ) -> None:
        """`placement` says where the model runs; without one, on `threads` of the CPU in `compute_type`."""
        self._settings = settings or WhisperSettings()
        placement = placement or Placement(compute_type=compute_type, threads=threads)
        self._decoder = WhisperDecoder(directory, placement)
        self._vad = SileroVad()
        self._sessions: dict[str, Session] = {}
        self._interval_ms = self._settings.partial_interval_ms
        self.info = EngineInfo(
            engine="whisper",
            model=model,
            device=placement.device,
            compute_type=placement.compute_type,
            modes=self._decoder.modes,
            languages=self._decoder.languages,
            slots=slots,
        )

    @property
    def spectrogram(self) -> dict[str, int]:
        """`n_mels`, `hop_length`, `win_length`, `n_fft` of the model's front end."""
        return self._decoder.spectrogram

    def warm_up(self) -> None:
        warm_up(self._decoder.run, self.info)

    def open(self, session_id: str, options: SessionOptions, *, start_samples: int = 0, segment: int = 0) -> None:
        """Raises `ServerBusyError` when all slots are taken."""
        assert session_id not in self._sessions, "a session is opened once"
        if len(self._sessions) >= self.info.slots:
            raise ServerBusyError(f"All {self.info.slots} slots of this worker are taken.")
        self._sessions[session_id] = Session(
            options,
            self._settings.segmenter,
            start_samples=start_samples,
            segment=segment,
            held_back_words=self._settings.held_back_words,
            languages=self.info.languages,
        )

    def feed(self, session_id: str, pcm: NDArray[np.float32]) -> None:
        self._sessions[session_id].endpointing.audio.append(pcm)

    def configure(self, session_id: str, options: SessionOptions) -> None:
        self._sessions[session_id].configure(options)

    def commit(self, session_id: str) -> None:
        self._sessions[session_id].endpointing.commit()

    def finish(self, session_id: str) -> None:
        self._sessions[session_id].endpointing.finish()

    def close(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)

    def step(self) -> list[tuple[str, Output]]:
        self._endpoint()
        self._decode(self._due())
        outputs = [(key, output) for key, session in self._sessions.items() for output in session.take_outputs()]
        for session in self._sessions.values():
            session.forget()
        return outputs

    def ready(self) -> bool:
        return any(session.has_outputs() or session.is_behind(self._interval_ms) for session in self._sessions.values())

    def absorbed_samples(self, session_id: str) -> int:
        return self._sessions[session_id].absorbed_samples(self._interval_ms)

    def checkpoint_samples(self, session_id: str) -> int:
        return self._sessions[session_id].checkpoint_samples

    def _endpoint(self) -> None:
        for session in self._sessions.values():
            endpointing = session.endpointing
            if endpointing.has_unheard():
                pcm = endpointing.unheard(self._settings.max_vad_windows)
                session.take_probabilities(self._vad.probabilities(endpointing.vad_state, pcm))

    def _due(self) -> list[Pass]:
        """The windows of this step: what can become final first, then whoever has waited for the most audio."""
        due = [one for session in self._sessions.values() for one in session.due_passes(self._interval_ms)]
        if any(session.segment_options.partials for session in self._sessions.values()):
            due = [one for one in due if one.turn < MAX_TURNS_BESIDE_LIVE]
        return sorted(due, key=_urgency)[: self._settings.max_jobs]

    def _decode(self, passes: list[Pass]) -> None:
        if not passes:
            return
        started_s = time.perf_counter()
        heard = self._decoder.run([one.job() for one in passes])
        model_ms = (time.perf_counter() - started_s) * 1000
        for one, answer in zip(passes, heard, strict=True):
            one.session.take_heard(one, answer, model_ms)
        self._interval_ms = max(self._settings.partial_interval_ms, self._settings.load_share * model_ms)


def _urgency(one: Pass) -> tuple[bool, int]:
    """Smallest first. Finals of one session stay in order, and the first of every session comes before any second."""
    if one.kind is Kind.FINAL:
        return (False, one.turn)
    return (one.kind is Kind.PARTIAL, one.session.answered_samples - one.end_samples)
