"""The engine for streaming models of sherpa-onnx: live transcription on a CPU, each word written once.

Each step endpoints the new audio of all sessions and runs one batched pass over every session that has enough audio.
`recognizer` runs the model; `session` decides where segments begin and end.
"""

import time
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.config.settings import Settings
from shared.events import SAMPLES_PER_MS
from shared.session_options import Mode, SessionOptions
from worker.engines.base import EngineInfo, Output
from worker.engines.loading.spectrogram import check_spectrogram
from worker.engines.sherpa.files import Kind, ModelFiles, find_model
from worker.engines.sherpa.recognizer import Recognizer
from worker.engines.sherpa.session import Session
from worker.engines.speech.boundaries import SegmenterSettings
from worker.engines.speech.vad import SileroVad
from worker.turns.judge import TurnJudge

_NEVER_S: Final = 1e9
_FBANK: Final = {"n_mels": 80, "hop_length": 160, "win_length": 400, "n_fft": 512}
"""The library's front end (`features.cc`). NeMo models choose their own number of mel filters."""


def load(settings: Settings, name: str, *, default_slots: int, threads: int) -> "SherpaEngine":
    """The engine for the model in `model.path`, loaded but not warm. Raises `StartupError`."""
    files = find_model(settings.model.path, name)
    spectrogram = _FBANK
    if files.is_nemo and settings.spectrogram.n_mels:
        spectrogram = spectrogram | {"n_mels": settings.spectrogram.n_mels}
    check_spectrogram(settings.spectrogram, spectrogram, name)
    return SherpaEngine(files, model=name, slots=settings.model.slots or default_slots, threads=threads)


class SherpaEngine:
    """See `worker.engines.base.Engine`."""

    def __init__(
        self,
        files: ModelFiles,
        *,
        model: str = "sherpa",
        slots: int = 16,
        threads: int = 1,
        segmenter: SegmenterSettings | None = None,
    ) -> None:
        self.files = files
        self._recognizer = Recognizer(files, threads)
        self._marks_words = files.kind is not Kind.PARAFORMER
        segmenter = segmenter or SegmenterSettings()
        self._max_segment_samples = round(segmenter.max_segment_s * 1000) * SAMPLES_PER_MS
        self._segmenter = replace(segmenter, max_segment_s=_NEVER_S)
        self._vad = SileroVad()
        self.turn_judge = TurnJudge()
        self._sessions: dict[str, Session] = {}
        self.info = EngineInfo(
            engine="sherpa",
            model=model,
            device="cpu",
            compute_type=files.compute_type,
            modes=(Mode.TRANSCRIBE,),
            languages=(),
            slots=slots,
        )

    def warm_up(self) -> None:
        """Run a pass for one session and one for the largest number of sessions."""
        self._recognizer.warm_up(self.info.slots)

    def open(self, session_id: str, options: SessionOptions, *, start_samples: int = 0, segment: int = 0) -> None:
        """Raises `ServerBusyError` if all slots are taken."""
        assert session_id not in self._sessions, "a session is opened once"
        self.info.check_free(len(self._sessions))
        self._sessions[session_id] = Session(
            options,
            self._recognizer,
            self._segmenter,
            start_samples=start_samples,
            segment=segment,
            max_segment_samples=self._max_segment_samples,
            marks_words=self._marks_words,
            judge=self.turn_judge,
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
        for session in self._sessions.values():
            session.listen(self._vad)
        self._pass([session for session in self._sessions.values() if session.is_ready])
        outputs = [(key, output) for key, session in self._sessions.items() for output in session.take_outputs()]
        for session in self._sessions.values():
            session.forget()
        return outputs

    def ready(self) -> bool:
        return any(session.is_behind for session in self._sessions.values())

    def absorbed_samples(self, session_id: str) -> int:
        return self._sessions[session_id].absorbed_samples

    def checkpoint_samples(self, session_id: str) -> int:
        return self._sessions[session_id].checkpoint_samples

    def _pass(self, due: list[Session]) -> None:
        if not due:
            return
        started_s = time.perf_counter()
        self._recognizer.decode([session.hearing.stream for session in due])
        model_ms = (time.perf_counter() - started_s) * 1000
        for session in due:
            session.take_pass(model_ms)
            session.advance()
