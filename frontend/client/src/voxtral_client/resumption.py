"""The data that resumes a live session of the Python client: its tokens, last event, and what the server lacks.

Does no I/O.
"""

from typing import Any

from voxtral_client.events import RESUME_TIMEOUT_S, Ready
from voxtral_client.outbox import AudioForgottenError, Outbox
from voxtral_client.resume_rules import Event


class Resumption:
    """`options` are the fields of the `start` message."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self.outbox = Outbox(options["encoding"], options["sample_rate"], options.get("channels"))
        self.ready: Ready | None = None
        """The answer to `start`."""
        self.seq = 0
        """`seq` of the last event received."""
        self.is_stopped = False
        """Whether the user has called `stop`."""
        self.resume_timeout_s = RESUME_TIMEOUT_S
        """How long the server keeps the session."""

    @property
    def session_id(self) -> str:
        """Empty while there is no session."""
        return self.ready.session_id if self.ready else ""

    @property
    def greeting(self) -> dict[str, Any]:
        """The first message of a connection."""
        if self.ready is None:
            return {"type": "start", "acknowledge": True, **self._options}
        return {
            "type": "resume",
            "session_id": self.ready.session_id,
            "resume_token": self.ready.resume_token,
            "seq": self.seq,
            "encoding": self._options["encoding"],
            "sample_rate": self._options["sample_rate"],
            **{name: self._options[name] for name in ("channels", "channel_mode") if name in self._options},
            "acknowledge": True,
        }

    def answered(self, ready: Ready) -> Event:
        """Handle the server's answer to the greeting: queue again what it lacks."""
        if self.ready is None:
            self.ready = ready
            self.seq = ready.seq
        self.resume_timeout_s = ready.resume_timeout_s
        self.outbox.keep_for(ready.resume_timeout_s)
        if ready.ended:
            self.outbox.close()
            return Event.READY_ENDED if self.is_stopped else Event.READY_CUT
        try:
            self.outbox.rewind(ready.audio_received_samples, ready.number)
        except AudioForgottenError:
            return Event.READY_FORGOTTEN
        return Event.READY

    def is_news(self, seq: int | None) -> bool:
        """Whether an event with this number is new."""
        if seq is None:
            return True
        if seq <= self.seq:
            return False
        self.seq = seq
        return True

    @property
    def is_whole(self) -> bool:
        """Whether the session has produced no event and all of its audio is still here.

        The server does not keep a session that was lost before any audio arrived, and nothing is lost with it.
        """
        return self.ready is not None and self.seq <= self.ready.seq and self.outbox.is_whole

    def start_over(self) -> None:
        """Drop the session that is gone: the next greeting starts another one."""
        self.ready = None
