"""Keys and arguments of the scripts of sessions and slots, all of them required.

Owners, erasure, and the tests that only the owner can write, all call the scripts through these functions, those that
belong together in the order that `shared.bus.moves` gives.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from shared.bus import keys
from shared.bus.messages import NOTHING_COMMITTED
from shared.bus.scripts import Call
from shared.bus.states import Move, SessionState, check
from shared.errors import SessionExpiredError
from shared.protocol import OWN, Protocol

_CANCELLED: Final = orjson.dumps({"code": SessionExpiredError.code, "message": "The session was cancelled."})


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a session, and its claim."""

    session_id: str
    model: str
    worker_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The position and state from which a new owner would start."""

    checkpoint_samples: int
    segment: int
    options: bytes | None
    """Options that the client has set before the checkpoint; None if Redis already has them."""
    kept_samples: int = 0
    """Audio before the checkpoint that is kept, so that a new owner can process it again."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The final state of a session that has ended. Raises IllegalMoveError for a state that ends no session."""

    state: SessionState
    retention_s: int
    """How long the session's events are kept."""

    def __post_init__(self) -> None:
        check(Move.END, SessionState.LIVE, self.state)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that is to be admitted."""

    session_id: str
    model: str
    capacity: int
    """The number of the model's slots."""
    claim_timeout_s: float
    """The time within which a worker must claim it."""
    options: bytes
    resume_digest: str
    viewer_digest: str
    key_name: str = ""
    """The API key that may erase it."""
    slots: int = 1
    """How many of the model's slots it needs."""
    protocol: Protocol = OWN
    """Says which processes may serve it."""
    opener: str = field(default_factory=lambda: secrets.token_hex(8))
    """Tells a repetition of this admission from that of another connection which presents the same id."""

    @property
    def claim_ms(self) -> int:
        return int((self.claim_timeout_s + keys.LEASE_S) * 1000)


def reserve(wanted: NewSession) -> Call:
    model = wanted.model
    return (
        [
            keys.admitted(model),
            keys.UNERASED,
            keys.awaiting(model),
            keys.free(model),
            keys.displaced(wanted.session_id),
        ],
        [
            wanted.session_id,
            wanted.capacity,
            wanted.claim_ms,
            keys.SESSION_TTL_S,
            int(keys.AWAITED_S * 1000),
            wanted.slots,
        ],
    )


def admit(wanted: NewSession) -> Call:
    return (
        [keys.session(wanted.session_id), keys.audio(wanted.session_id)],
        [
            wanted.claim_ms,
            keys.SESSION_TTL_S,
            wanted.options,
            wanted.resume_digest,
            wanted.viewer_digest,
            wanted.key_name,
            wanted.protocol.number,
            wanted.protocol.oldest,
            wanted.slots,
            wanted.opener,
        ],
    )


def rank(model: str, worker_id: str, slots: int, free_slots: int | None) -> Call:
    """`free_slots` are the worker's; None if they are enough for any session."""
    return [keys.free(model), keys.WORKERS], [worker_id, slots, "" if free_slots is None else free_slots]


def count(model: str, worker_id: str, change: int) -> Call:
    return [keys.free(model)], [worker_id, change]


def claim(
    session_id: str,
    worker_id: str,
    *,
    standing: int,
    workers: int,
    lease_s: float = keys.LEASE_S,
    protocol: Protocol = OWN,
) -> Call:
    """`standing` and `workers` are the answer of `rank`."""
    return (
        [keys.session(session_id)],
        [worker_id, int(lease_s * 1000), keys.SESSION_TTL_S, protocol.number, protocol.oldest, standing, workers],
    )


def renew(owner: Owner, *, lease_s: float = keys.LEASE_S) -> Call:
    return (
        [*keys.of_session(owner.session_id), keys.labels(owner.session_id)],
        [owner.fence, int(lease_s * 1000), keys.SESSION_TTL_S],
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """A session that keeps its slots."""

    session_id: str
    gone_s: float | None
    """How long its client has been gone; None while it is connected."""
    slots: int


def keep(model: str, kept: Iterable[Kept]) -> Call:
    return (
        [keys.admitted(model), keys.awaiting(model)],
        [
            int(keys.HEARTBEAT_TTL_S * 1000),
            keys.SESSION_TTL_S,
            *(
                part
                for one in kept
                for part in (one.session_id, "" if one.gone_s is None else int(one.gone_s * 1000), one.slots)
            ),
        ],
    )


def release(session_id: str, model: str, worker_id: str, slots: int, kept_s: int) -> Call:
    """`worker_id` is the owner's, empty if there is none; `kept_s` is how long the session's keys are kept."""
    return (
        [keys.admitted(model), keys.awaiting(model), keys.free(model), keys.UNERASED],
        [session_id, worker_id, slots, kept_s],
    )


def offer(owner: Owner) -> Call:
    return [keys.session(owner.session_id)], [owner.fence]


def erase(session_id: str) -> Call:
    """Not only for the owner: the frontend has checked that the caller may erase the session."""
    return (
        [*keys.of_session(session_id), keys.voices(session_id), keys.labels(session_id), keys.webhook(session_id)],
        [session_id, keys.channel(session_id), keys.CANCELLED_TTL_S, _CANCELLED.removeprefix(b"{")],
    )


def write(
    owner: Owner,
    first_seq: int,
    events: Sequence[tuple[str, bytes]] = (),
    *,
    settled: Settled | None = None,
    committed: bytes | None = None,
    consumed_samples: int | None = None,
    ending: Ending | None = None,
    speakers: bytes | None = None,
    answered_commit: bytes = b"",
) -> Call:
    """`events` are kind (see `EventKind`) and payload; the first one has the number `first_seq`.

    The position of the consumed audio is reported together with the checkpoint. `committed` is the committed text of
    the segment that is open after the events, empty if there is none; None if the events do not change it. `speakers`
    is what is known of the voices after the events, and replaces the audio of known speakers; None: no change.
    `answered_commit` is the entry of the last `commit` that the events, or earlier ones, answer; empty if none.
    """
    sid = owner.session_id
    where: tuple[object, ...] = ("", "", "", "")
    if settled is not None:
        keep_from_samples = max(0, settled.checkpoint_samples - settled.kept_samples)
        where = (settled.checkpoint_samples, keep_from_samples, settled.segment, settled.options or "")
    return (
        [*keys.of_session(sid), keys.labels(sid), keys.voices(sid)],
        [
            owner.fence,
            keys.channel(sid),
            keys.EVENT_LOG_MAX,
            keys.SESSION_TTL_S,
            first_seq,
            *where,
            "" if consumed_samples is None else consumed_samples,
            *(("", "") if ending is None else (ending.state, ending.retention_s)),
            "" if committed is None else committed or NOTHING_COMMITTED.encode(),
            speakers or "",
            answered_commit,
            *(part for event in events for part in event),
        ],
    )
