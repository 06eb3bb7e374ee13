"""What Redis does not have of a session: it is written at once, by a script that may be repeated without harm. Pure."""

from dataclasses import dataclass

from shared.bus import keys
from shared.bus.messages import EventKind
from shared.bus.ownership import Ending, Owner, Settled, release, write
from shared.bus.scripts import Call
from shared.bus.states import SessionState
from worker.commitment import StoredText


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    owner: Owner
    slots: int
    """Those that the session has."""
    first_seq: int
    """The number of the first event."""
    events: list[tuple[str, bytes]]
    """Kind and payload."""
    settled: Settled | None
    """From where a new owner would start; None if that is not to be written."""
    committed: StoredText | None
    """The committed text of open segments: empty once it has become a final. None: Redis has it."""
    consumed_samples: int | None
    """The progress to report, if it is due."""
    ending: SessionState | None
    """The state of the session after the events, if it ends with them."""
    speakers: bytes | None
    """What is known of the speakers; None: Redis has it."""
    answered_commit: bytes
    """The entry of the last `commit` whose answer is among the events, or was written before."""

    @property
    def is_nothing(self) -> bool:
        return not self.events and self.consumed_samples is None and self.ending is None and self.speakers is None

    @property
    def finals(self) -> int:
        """How many of the events are finals."""
        return sum(kind == EventKind.FINAL for kind, _ in self.events)

    @property
    def is_lasting(self) -> bool:
        """Whether a failover must not lose it, even together with this worker."""
        return self.ending is not None or self.finals > 0

    def call(self, retention_s: float) -> Call:
        """Keys and arguments of the script that writes it."""
        return write(
            self.owner,
            self.first_seq,
            self.events,
            settled=self.settled,
            committed=None if self.committed is None else self.committed.encoded(),
            consumed_samples=self.consumed_samples,
            ending=None if self.ending is None else Ending(self.ending, self._kept_s(retention_s)),
            speakers=self.speakers,
            answered_commit=self.answered_commit,
        )

    def release(self, retention_s: float) -> Call:
        """Keys and arguments of the script that frees the slots of a session that ends."""
        owner = self.owner
        return release(owner.session_id, owner.model, owner.worker_id, self.slots, self._kept_s(retention_s))

    def _kept_s(self, retention_s: float) -> int:
        return keys.CANCELLED_TTL_S if self.ending is SessionState.CANCELLED else int(retention_s)
