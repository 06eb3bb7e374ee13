"""The spans of a frontend: the session, its admission, the wait for a worker, and connections that resume it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from frontend.sessions.session import Session
from shared.errors import VoxtralError
from shared.events import SAMPLE_RATE_HZ
from shared.tracing import ROOT, Traces


@dataclass(frozen=True, slots=True)
class _Hold:
    """The hold of one connection on a session. Unix time."""

    began_s: float
    is_first: bool


class SessionTraces:
    """Does nothing if `traces` is None."""

    def __init__(self, traces: Traces | None) -> None:
        self._traces = traces
        self._holds: dict[Session, _Hold] = {}

    def opened(self, session: Session, requested_s: float) -> None:
        """A session has been admitted that was requested at this Unix time."""
        if self._traces is not None:
            self._holds[session] = _Hold(requested_s, is_first=True)
            self._traces.record(session.id, "admit", requested_s, time.time(), parent=ROOT)

    def resumed(self, session: Session) -> None:
        """Another connection has the session from now on."""
        if self._traces is not None:
            self._holds[session] = _Hold(time.time(), is_first=False)

    @contextmanager
    def claim(self, session: Session) -> Iterator[None]:
        """The time in which a worker claims the session, also if none does."""
        began_s, code = time.time(), ""
        try:
            yield
        except VoxtralError as error:
            code = error.code
            raise
        finally:
            if self._traces is not None:
                self._traces.record(session.id, "claim", began_s, time.time(), parent=ROOT, error=code)

    def ended(self, session: Session) -> None:
        """The connection no longer has the session."""
        hold = self._holds.pop(session, None)
        if self._traces is None or hold is None:
            return
        about = {
            "voxtral.model": session.model,
            "voxtral.mode": session.options.mode.value,
            "voxtral.key": session.key_name,
            "voxtral.recording": session.options.recording,
            "voxtral.audio_s": session.audio_received_samples / SAMPLE_RATE_HZ,
            "voxtral.done": session.is_done,
        }
        name, unique, parent = (ROOT, ROOT, "") if hold.is_first else ("resumed", "", ROOT)
        now_s, code = time.time(), session.error_code
        self._traces.record(session.id, name, hold.began_s, now_s, about, unique=unique, parent=parent, error=code)

    def close(self) -> None:
        """Export what is left; blocks."""
        if self._traces is not None:
            self._traces.close()
