"""An engine without a model: it answers at once with the duration of the audio.

For measuring only the pipeline and for testing everything around an engine. Each feed is answered by one
partial; a segment ends every `SEGMENT_S` of audio. `echo:NAME` is the same under another name. Sessions that open with
turn detection are `echo_turns`.
"""

import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from shared.events import SAMPLE_RATE_HZ, Word, seconds
from shared.session_options import Mode, SessionOptions
from worker.engines.base import Committed, EngineInfo, Finished, Notice, Output, Partial
from worker.engines.base import Final as FinalText
from worker.turns.judge import TurnJudge

if TYPE_CHECKING:
    from worker.engines.echo_turns import EchoTurns
    from worker.engines.speech.vad import SileroVad

SEGMENT_S: Final = 10
_SEGMENT_SAMPLES: Final = SEGMENT_S * SAMPLE_RATE_HZ


@dataclass(slots=True)
class _Session:
    options: SessionOptions
    segment: int
    start_samples: int
    heard_samples: int
    fed: bool = False
    commits_samples: deque[int] = field(default_factory=deque)
    finishing: bool = False
    notices: list[Notice] = field(default_factory=list)


class EchoEngine:
    """Implements `worker.engines.base.Engine`."""

    def __init__(self, slots: int, model: str = "echo") -> None:
        self.info = EngineInfo(
            engine="echo",
            model=model,
            device="cpu",
            compute_type="none",
            modes=tuple(Mode),
            languages=(),
            slots=slots,
        )
        self._sessions: dict[str, _Session] = {}
        self._due: set[str] = set()
        self._turns: dict[str, EchoTurns] = {}
        """The sessions with turn detection."""
        self._vad: SileroVad | None = None
        self.turn_judge = TurnJudge()

    def warm_up(self) -> None:
        """Nothing to do."""

    def open(self, session_id: str, options: SessionOptions, *, start_samples: int = 0, segment: int = 0) -> None:
        if options.turn_detection is None:
            self._sessions[session_id] = _Session(options, segment, start_samples, start_samples)
            return
        from worker.engines.echo_turns import EchoTurns  # noqa: PLC0415 -- a library that few sessions need
        from worker.engines.speech.vad import SileroVad  # noqa: PLC0415

        if self._vad is None:
            self._vad = SileroVad()
        self._turns[session_id] = EchoTurns(
            options, self._vad, self.turn_judge, start_samples=start_samples, segment=segment
        )

    def feed(self, session_id: str, pcm: NDArray[np.float32]) -> None:
        if session_id in self._turns:
            self._turns[session_id].feed(pcm)
            return
        session = self._sessions[session_id]
        session.heard_samples += len(pcm)
        session.fed = True
        self._due.add(session_id)

    def configure(self, session_id: str, options: SessionOptions) -> None:
        if session_id in self._turns:
            self._turns[session_id].configure(options)
            return
        session = self._sessions[session_id]
        if options.turn_detection is not None and session.options.turn_detection != options.turn_detection:
            reason = "this model finds turns only in sessions that start with it"
            session.notices.append(Notice("turn_detection_ignored", f"turn_detection has no effect: {reason}."))
            self._due.add(session_id)
        session.options = replace(options, partials=session.options.partials)

    def commit(self, session_id: str) -> None:
        if session_id in self._turns:
            self._turns[session_id].commit()
            return
        session = self._sessions[session_id]
        session.commits_samples.append(session.heard_samples)
        self._due.add(session_id)

    def finish(self, session_id: str) -> None:
        if session_id in self._turns:
            self._turns[session_id].finish()
            return
        self._sessions[session_id].finishing = True
        self._due.add(session_id)

    def close(self, session_id: str) -> None:
        self._turns.pop(session_id, None)
        self._sessions.pop(session_id, None)
        self._due.discard(session_id)

    def ready(self) -> bool:
        return bool(self._due) or any(session.is_due for session in self._turns.values())

    def step(self) -> list[tuple[str, Output]]:
        due, self._due = self._due, set()
        outputs = [(session_id, output) for session_id in due for output in self._answer(self._sessions[session_id])]
        return outputs + [(key, output) for key, session in self._turns.items() for output in session.answer()]

    def absorbed_samples(self, session_id: str) -> int:
        if session_id in self._turns:
            return self._turns[session_id].absorbed_samples
        return self._sessions[session_id].heard_samples

    def checkpoint_samples(self, session_id: str) -> int:
        if session_id in self._turns:
            return self._turns[session_id].checkpoint_samples
        return self._sessions[session_id].start_samples

    def _answer(self, session: _Session) -> list[Output]:
        started_s = time.perf_counter()
        outputs: list[Output] = [*session.notices]
        session.notices = []
        shows = session.fed and session.options.partials
        if shows:
            end_samples = session.commits_samples[0] if session.commits_samples else session.heard_samples
            outputs.append(_partial(session, end_samples, (time.perf_counter() - started_s) * 1000))
        shows_rest = shows and bool(session.commits_samples)
        session.fed = False
        while session.commits_samples:
            at_samples = session.commits_samples.popleft()
            if at_samples > session.start_samples:
                outputs.append(self._final(session, at_samples, (time.perf_counter() - started_s) * 1000))
            outputs.append(Committed(at_samples))
        length_samples = session.heard_samples - session.start_samples
        if shows_rest and length_samples:
            outputs.append(_partial(session, session.heard_samples, (time.perf_counter() - started_s) * 1000))
        if length_samples and (session.finishing or length_samples >= _SEGMENT_SAMPLES):
            outputs.append(self._final(session, session.heard_samples, (time.perf_counter() - started_s) * 1000))
        if session.finishing:
            outputs.append(Finished())
        return outputs

    @staticmethod
    def _final(session: _Session, end: int, model_ms: float) -> FinalText:
        start, text = session.start_samples, _text(session, end)
        final = FinalText(
            segment=session.segment,
            text=text,
            start_samples=start,
            end_samples=end,
            heard_samples=end,
            resume_samples=end,
            words=(Word(text, start, end),) if session.options.words else (),
            language=session.options.language,
            model_ms=model_ms,
        )
        session.start_samples = end
        session.segment += 1
        return final


def _partial(session: _Session, end_samples: int, model_ms: float) -> Partial:
    return Partial(session.segment, _text(session, end_samples), session.start_samples, end_samples, model_ms)


def _text(session: _Session, end_samples: int) -> str:
    return f"{seconds(end_samples - session.start_samples):g} seconds"
