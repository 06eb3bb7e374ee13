"""Sessions in the state of a worker."""

import asyncio
from dataclasses import replace
from typing import Any

from redis.exceptions import NoScriptError

from shared.bus import keys
from shared.bus.ownership import Owner
from shared.session_options import SessionOptions
from tests.unit.redis_in_memory import script_named
from worker.claim import Claim
from worker.claiming import single_track
from worker.second_pass.revisions import Revisions
from worker.session import WorkerSession


def claimed(
    session_id: str = "s1", now_s: float = 1000.0, revisions: Revisions | None = None, **changes: Any
) -> WorkerSession:
    """A new session whose `ready` is not yet written. `changes` are fields of its claim."""
    new = Claim(Owner(session_id, "echo", "w1", fence=1), SessionOptions(), 0, 0, 0, ())
    claim = replace(new, **changes)
    session = WorkerSession(claim, single_track(claim), now_s, revisions=revisions)
    if revisions is not None:
        revisions.open(session.openings)
    return session


class ScriptCalls:
    """Answers the calls of one script of sessions, and records them; also renewals, and what is said of slots."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        """Session id and arguments of each call that was answered."""
        self.replies: dict[str, Any] = {}
        """By session id; an exception is raised. Without one a call is answered with 1."""
        self.gone_ms: dict[str, str] = {}
        """For how long the clients of sessions have been gone, as it was last said; empty if they are connected."""
        self.renewed: list[str] = []
        """Sessions whose leases were renewed."""
        self.released: list[str] = []
        """Sessions whose slots were freed."""
        self.release_hangs = False
        self.is_loaded = True
        self.fault: Exception | None = None
        """Raised by each command."""
        self.keep_fault: Exception | None = None
        """Raised by each renewal of slots."""

    def __call__(self, command: str, *words: str) -> Any:
        if self.fault is not None:
            raise self.fault
        if command == "SCRIPT LOAD":
            self.is_loaded = True
            return b"sha"
        if command == "CLIENT":
            return b"OK"
        assert command == "EVALSHA"
        if not self.is_loaded:
            raise NoScriptError("No matching script")
        count = int(words[1])
        match script_named(words[0]):
            case "keep":
                if self.keep_fault is not None:
                    raise self.keep_fault
                self.gone_ms |= dict(zip(words[4 + count :: 3], words[5 + count :: 3], strict=True))
                return None
            case "release":
                self.released.append(words[2 + count])
                return asyncio.get_running_loop().create_future() if self.release_hangs else None
        session_id = keys.session_of(words[2].encode())
        reply = self.replies.get(session_id, 1)
        if isinstance(reply, Exception):
            raise reply
        if script_named(words[0]) == "renew":
            self.renewed.append(session_id)
        else:
            self.calls.append((session_id, list(words[2 + count :])))
        return reply

    @property
    def sessions(self) -> list[str]:
        """The sessions whose calls were answered."""
        return [session_id for session_id, _ in self.calls]
