"""Whisper on a CPU or a GPU for many live sessions at once.

Each step endpoints the new audio of all sessions, decodes windows that are due, and returns the new outputs. The engine
chooses windows; the decoder turns them into words, and the session turns words into outputs.

Windows that share a batch are decoded within a step. Others are decoded while steps continue, one on each thread: a
thread that is free takes the next window at once. A live session waits for its window: in the meantime it takes audio
and options, and nothing else in it changes.
"""

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.session_options import SessionOptions
from worker.engines.base import EngineInfo, History, Output, PassTime
from worker.engines.option_notices import cut_prompt
from worker.engines.speech.segment_queue import Kind
from worker.engines.speech.vad import SileroVad
from worker.engines.whisper.decoder import MAX_PROMPT_TOKENS, WhisperDecoder
from worker.engines.whisper.jobs import Heard
from worker.engines.whisper.live import LiveSession
from worker.engines.whisper.pace import interval_ms, warm_up
from worker.engines.whisper.placement import Placement
from worker.engines.whisper.recording import Recording
from worker.engines.whisper.session import Pass, Place, Session
from worker.engines.whisper.settings import WhisperSettings
from worker.engines.whisper.spans import Span, Spans
from worker.turns.judge import TurnJudge

POLL_S = 0.02
"""How long a step waits for a window while a thread is free: new live audio waits no longer than this."""


@dataclass(frozen=True, slots=True)
class _Running:
    """A window that is decoded while steps continue."""

    wanted: Pass
    started_s: float
    answer: Future[Heard]


class WhisperEngine:
    """See `worker.engines.base.Engine`."""

    def __init__(
        self,
        directory: Path,
        placement: Placement,
        settings: WhisperSettings,
        *,
        model: str,
        slots: int,
    ) -> None:
        """`placement` says where the model runs, `model` is its name for clients."""
        self._settings = settings
        self._limits = placement.limits
        self._decoder = WhisperDecoder(directory, placement)
        self._vad = SileroVad()
        self.turn_judge = TurnJudge()
        self._sessions: dict[str, Session] = {}
        self._interval_ms = self._settings.partial_interval_ms
        self._running: list[_Running] = []
        self._passes: list[PassTime] = []
        self.info = EngineInfo(
            engine="whisper",
            model=model,
            device=placement.device,
            compute_type=placement.compute_type,
            modes=self._decoder.modes,
            languages=self._decoder.languages,
            slots=slots,
            has_commit_delay=True,
        )

    @property
    def spectrogram(self) -> dict[str, int]:
        """`n_mels`, `hop_length`, `win_length`, `n_fft` of the model's front end."""
        return self._decoder.spectrogram

    @property
    def is_multilingual(self) -> bool:
        """Whether the model's vocabulary has languages."""
        return self._decoder.is_multilingual

    def warm_up(self) -> None:
        warm_up(self._decoder.run, self.info, self._limits)

    def open(self, session_id: str, options: SessionOptions, *, start_samples: int = 0, segment: int = 0) -> None:
        """Raises `ServerBusyError` when all slots are taken."""
        assert session_id not in self._sessions, "a session is opened once"
        self.info.check_free(len(self._sessions))
        place = Place(start_samples, segment)
        self._sessions[session_id] = (
            Recording(options, self.info.languages, place)
            if options.recording
            else LiveSession(
                options,
                self.info.languages,
                place,
                self._settings.segmenter,
                self._settings.live,
                judge=self.turn_judge,
            )
        )
        self._sessions[session_id].decoded_s = time.perf_counter()
        self._check_prompt(session_id, options)

    def recall(self, session_id: str, history: History) -> None:
        self._sessions[session_id].recall(history, self._decoder.tokens)

    def feed(self, session_id: str, pcm: NDArray[np.float32]) -> None:
        self._sessions[session_id].endpointing.audio.append(pcm)

    def configure(self, session_id: str, options: SessionOptions) -> None:
        self._sessions[session_id].configure(options)
        self._check_prompt(session_id, options)

    def commit(self, session_id: str) -> None:
        self._sessions[session_id].endpointing.commit()

    def finish(self, session_id: str) -> None:
        self._sessions[session_id].endpointing.finish()

    def close(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)

    def step(self) -> list[tuple[str, Output]]:
        self._endpoint()
        self._detect()
        recorded, live = self._due()
        if live or self._has_live_speech():
            self._decode_live(live, recorded)
        elif self._running:
            self._take(None)
        else:
            self._decode(recorded[: self._settings.max_jobs])
        outputs = [(key, output) for key, session in self._sessions.items() for output in session.take_outputs()]
        for session in self._sessions.values():
            session.forget()
        return outputs

    def ready(self) -> bool:
        sessions = self._sessions.values()
        return bool(self._running) or any(one.has_outputs() or one.is_behind(self._interval_ms) for one in sessions)

    def take_passes(self) -> list[PassTime]:
        """See `worker.engines.base.Timed`."""
        passes, self._passes = self._passes, []
        return passes

    def absorbed_samples(self, session_id: str) -> int:
        return self._sessions[session_id].absorbed_samples(self._interval_ms)

    def checkpoint_samples(self, session_id: str) -> int:
        return self._sessions[session_id].checkpoint_samples

    def _check_prompt(self, session_id: str, options: SessionOptions) -> None:
        if unused := self._decoder.unused_prompt(options.prompt):
            self._sessions[session_id].notify(cut_prompt(unused, MAX_PROMPT_TOKENS))

    def _has_live_speech(self) -> bool:
        """Whether a session could need a pass at any moment: one that shows words, or whose speaker speaks."""
        live = [session for session in self._sessions.values() if not session.is_recording]
        return any(session.is_live or session.is_speaking for session in live)

    def _free(self) -> list[Session]:
        """All sessions but those that wait for a window."""
        return [session for session in self._sessions.values() if not session.is_waiting]

    def _endpoint(self) -> None:
        for session in self._free():
            while (pcm := session.unheard(self._settings.max_vad_windows)) is not None:
                state, ahead = session.endpointing.vad_state, session.ahead(len(pcm))
                session.take_probabilities(self._vad.probabilities(state, pcm, ahead))

    def _detect(self) -> None:
        wanted = [(session, span) for session in self._free() for span in session.undetected()]
        recorded = [one for one in wanted if one[0].is_recording]
        if self._has_live_speech():  # one segment of a recording at a time
            recorded = sorted(recorded, key=lambda one: one[0].decoded_s)[:1]
        self._detect_in([one for one in wanted if not one[0].is_recording], is_live=True)
        self._detect_in(recorded, is_live=False)

    def _detect_in(self, wanted: list[tuple[Session, Span]], *, is_live: bool) -> None:
        if not wanted:
            return
        pcms = [Spans((span,)).pcm(session.endpointing.audio) for session, span in wanted]
        for (session, span), probabilities in zip(wanted, self._decoder.detect(pcms, is_live=is_live), strict=True):
            session.take_detected(span, probabilities)

    def _due(self) -> tuple[list[Pass], list[Pass]]:
        """The windows of recordings and of live sessions, those that are decoded first at the beginning."""
        due = [one for session in self._free() for one in session.due_passes(self._interval_ms)]
        recorded = sorted((one for one in due if one.session.is_recording), key=lambda one: one.turn)
        live = sorted((one for one in due if not one.session.is_recording), key=_urgency)
        return recorded, live

    def _decode_live(self, live: list[Pass], recorded: list[Pass]) -> None:
        """Decode windows of live sessions, and one window of a recording at a time beside them."""
        shows_words = any(session.is_live for session in self._sessions.values())
        if live and not (shows_words and self._decoder.decodes_singly):
            self._start_recording(recorded)
            self._take(0.0)
            self._decode(live[: self._settings.max_jobs])
            return
        free = self._live_at_once - sum(not one.wanted.session.is_recording for one in self._running)
        for one in live[: max(0, free)]:
            self._start(one)
        self._start_recording(recorded)
        self._take(POLL_S if free > len(live) else None)

    def _start_recording(self, passes: list[Pass]) -> None:
        """Recordings take turns."""
        if passes and not any(one.wanted.session.is_recording for one in self._running):
            following = min(passes, key=lambda one: one.session.decoded_s)
            following.session.decoded_s = time.perf_counter()
            self._start(following)

    def _start(self, wanted: Pass) -> None:
        wanted.session.is_waiting = not wanted.session.is_recording
        self._running.append(_Running(wanted, time.perf_counter(), self._decoder.start(wanted.job())))

    def _take(self, timeout_s: float | None) -> None:
        """Wait for an answer, at most so long, and take all that are there."""
        done, _ = wait([one.answer for one in self._running], timeout_s, FIRST_COMPLETED)
        running, self._running = self._running, [one for one in self._running if one.answer not in done]
        for one in running:
            if one.answer in done:
                one.wanted.session.is_waiting = False
                self._hear([one.wanted], [one.answer.result()], one.started_s)

    def _decode(self, passes: list[Pass]) -> None:
        if passes:
            started_s = time.perf_counter()
            self._hear(passes, self._decoder.run([one.job() for one in passes]), started_s)

    def _hear(self, passes: list[Pass], heard: list[Heard], started_s: float) -> None:
        """Give sessions that are still open the answers of windows that were decoded together."""
        model_ms = (time.perf_counter() - started_s) * 1000
        for one, answer in zip(passes, heard, strict=True):
            if one.session in self._sessions.values():
                one.session.take_heard(one, answer, model_ms)
        self._passes.append(PassTime(model_ms, len({one.session for one in passes})))
        if not passes[0].session.is_recording:
            speaking = sum(session.is_live and session.is_speaking for session in self._sessions.values())
            self._interval_ms = interval_ms(model_ms, speaking, self._live_at_once, self._settings)

    @property
    def _live_at_once(self) -> int:
        """Windows of live sessions that are decoded at the same time."""
        if not self._decoder.decodes_singly:
            return self._settings.max_jobs
        recordings = sum(one.wanted.session.is_recording for one in self._running)
        return max(1, self._decoder.threads - recordings)


def _urgency(one: Pass) -> tuple[bool, int]:
    """Smallest first: windows that become final, then by the amount of audio that waits."""
    return (one.kind is Kind.PARTIAL, 0 if one.kind is Kind.FINAL else one.session.answered_samples - one.end_samples)
