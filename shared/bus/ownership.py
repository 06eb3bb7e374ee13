"""What the owner of a session writes to Redis: keys and arguments of the scripts, all of them required.

Owners, erasure, and the tests that only the owner can write, all call the scripts through these functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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


def admit(
    session_id: str,
    model: str,
    *,
    capacity: int,
    claim_timeout_s: float,
    options: bytes,
    resume_digest: str,
    viewer_digest: str,
    key_name: str,
    slots: int = 1,
    protocol: Protocol = OWN,
) -> Call:
    """`capacity` is the number of the model's slots, and `slots` how many of them the session needs; `key_name` names
    the API key that may erase the session. `protocol` says which processes may serve it."""
    return (
        [
            keys.admitted(model),
            keys.session(session_id),
            keys.audio(session_id),
            keys.UNERASED,
            keys.awaiting(model),
            keys.free(model),
        ],
        [
            session_id,
            capacity,
            int((claim_timeout_s + keys.LEASE_S) * 1000),
            keys.SESSION_TTL_S,
            options,
            resume_digest,
            viewer_digest,
            key_name,
            int(keys.AWAITED_S * 1000),
            protocol.number,
            protocol.oldest,
            slots,
        ],
    )


def claim(
    session_id: str,
    model: str,
    worker_id: str,
    *,
    free_slots: int | None = None,
    lease_s: float = keys.LEASE_S,
    protocol: Protocol = OWN,
) -> Call:
    """`free_slots` are the worker's; None if they are enough for any session."""
    room = () if free_slots is None else (free_slots,)
    return (
        [keys.session(session_id), keys.free(model), keys.WORKERS],
        [worker_id, int(lease_s * 1000), keys.SESSION_TTL_S, protocol.number, protocol.oldest, *room],
    )


def renew(owner: Owner, *, lease_s: float = keys.LEASE_S, gone_s: float | None = None, slots: int = 1) -> Call:
    """`gone_s` is how long the client has been gone; None while it is connected."""
    return (
        [
            *keys.of_session(owner.session_id),
            *(keys.admitted(owner.model), keys.awaiting(owner.model), keys.labels(owner.session_id)),
        ],
        [
            owner.fence,
            int(lease_s * 1000),
            keys.SESSION_TTL_S,
            owner.session_id,
            int(keys.HEARTBEAT_TTL_S * 1000),
            "" if gone_s is None else int(gone_s * 1000),
            slots,
        ],
    )


def offer(owner: Owner) -> Call:
    return [keys.session(owner.session_id)], [owner.fence]


def erase(session_id: str, model: str) -> Call:
    """Not only for the owner: the frontend has checked that the caller may erase the session."""
    return (
        [
            *keys.of_session(session_id),
            *(keys.admitted(model), keys.free(model), keys.UNERASED, keys.voices(session_id), keys.labels(session_id)),
            keys.webhook(session_id),
        ],
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
) -> Call:
    """`events` are kind (see `EventKind`) and payload; the first one has the number `first_seq`.

    The position of the consumed audio is reported together with the checkpoint. `committed` is the committed text of
    the segment that is open after the events, empty if there is none; None if the events do not change it. `speakers`
    is what is known of the voices after the events, and replaces the audio of known speakers; None: no change.
    """
    sid = owner.session_id
    where: tuple[object, ...] = ("", "", "", "")
    if settled is not None:
        keep_from_samples = max(0, settled.checkpoint_samples - settled.kept_samples)
        where = (settled.checkpoint_samples, keep_from_samples, settled.segment, settled.options or "")
    return (
        [
            *keys.of_session(sid),
            keys.admitted(owner.model),
            keys.free(owner.model),
            keys.UNERASED,
            keys.awaiting(owner.model),
            keys.labels(sid),
            keys.voices(sid),
        ],
        [
            owner.fence,
            sid,
            owner.worker_id,
            keys.channel(sid),
            keys.EVENT_LOG_MAX,
            keys.SESSION_TTL_S,
            first_seq,
            *where,
            "" if consumed_samples is None else consumed_samples,
            *(("", "") if ending is None else (ending.state, ending.retention_s)),
            "" if committed is None else committed or NOTHING_COMMITTED.encode(),
            speakers or "",
            *(part for event in events for part in event),
        ],
    )
