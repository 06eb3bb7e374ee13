"""The states of a session, and the moves that the scripts in `shared.bus.lua` make between them.

                    admit            claim            offer
    (no session) ----------> waiting -------> live ----------> offered
                                              ^  ^                |
                     claim (lease has expired)|  |      claim     |
                                       live --+  +----------------+

    live, offered          --end-->    done, failed or cancelled   with the owner's last event
    live, offered          --erase-->  cancelled                   while the owner's lease is in force
    live, offered          --erase-->  (no session)                after the lease has expired
    waiting, done, failed  --erase-->  (no session)

A session in `waiting`, `live` or `offered` has a lease. In `waiting` it is the time within which a worker must claim
the session; in the other two states it belongs to the owner. A session that has ended expires with its keys.

The table defines which move is allowed from which state. The scripts check conditions that are made from it
(`lua_condition`), Python checks it with `check`, and a test drives every script through every state.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias


class SessionState(StrEnum):
    """The field `state` of a session's hash."""

    WAITING = "waiting"
    """No worker has claimed it yet."""
    LIVE = "live"
    """A worker owns it."""
    OFFERED = "offered"
    """A worker owns it, and any other worker may claim it."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Move(StrEnum):
    """A change of a session's state by a script."""

    ADMIT = "admit"
    CLAIM = "claim"
    RENEW = "renew"
    OFFER = "offer"
    END = "end"
    """Part of the script `write`."""
    ERASE = "erase"


StateOrNone: TypeAlias = SessionState | None
"""A state, or None if Redis has no such session."""

OWNED: Final = frozenset({SessionState.LIVE, SessionState.OFFERED})
"""A worker owns the session."""
ACTIVE: Final = OWNED | {SessionState.WAITING}
"""More events may follow."""
ENDED: Final = frozenset({SessionState.DONE, SessionState.FAILED, SessionState.CANCELLED})
"""No more events follow."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One allowed move. The script, or the argument of `end`, chooses among `targets`."""

    move: Move
    source: StateOrNone
    targets: frozenset[StateOrNone]
    lease_in_force: bool | None = None
    """The lease that the move needs: in force (True), expired (False), or any (None)."""


def _rules() -> Iterable[Rule]:
    gone: frozenset[StateOrNone] = frozenset({None})
    live: frozenset[StateOrNone] = frozenset({SessionState.LIVE})
    yield Rule(Move.ADMIT, None, frozenset({SessionState.WAITING}))
    yield Rule(Move.CLAIM, SessionState.WAITING, live, lease_in_force=True)
    yield Rule(Move.CLAIM, SessionState.LIVE, live, lease_in_force=False)
    yield Rule(Move.CLAIM, SessionState.OFFERED, live)
    for owned in sorted(OWNED):
        yield Rule(Move.RENEW, owned, frozenset({owned}))
        yield Rule(Move.OFFER, owned, frozenset({SessionState.OFFERED}))
        yield Rule(Move.END, owned, frozenset(ENDED))
        yield Rule(Move.ERASE, owned, frozenset({SessionState.CANCELLED}), lease_in_force=True)
        yield Rule(Move.ERASE, owned, gone, lease_in_force=False)
    for state in (SessionState.WAITING, SessionState.DONE, SessionState.FAILED):
        yield Rule(Move.ERASE, state, gone)
    yield Rule(Move.ERASE, SessionState.CANCELLED, frozenset({SessionState.CANCELLED}))


RULES: Final = tuple(_rules())


class IllegalMoveError(Exception):
    """A move that the table does not allow. An internal fault, never a client's."""

    def __init__(self, move: Move, came: str, expected: Iterable[str]) -> None:
        self.move = move
        self.came = came
        self.expected = tuple(expected)
        super().__init__(move, came, self.expected)

    def __str__(self) -> str:
        return f"Move {self.move!s}: {self.came} came, expected {' or '.join(self.expected)}."


def targets(move: Move, source: StateOrNone, *, lease_in_force: bool = True) -> frozenset[StateOrNone]:
    """The states that the move may lead to from a state; empty if it is not allowed."""
    found: set[StateOrNone] = set()
    for rule in RULES:
        if rule.move is move and rule.source == source and rule.lease_in_force in (None, lease_in_force):
            found |= rule.targets
    return frozenset(found)


def check(move: Move, source: StateOrNone, target: StateOrNone) -> None:
    """Raises IllegalMoveError with the expected and the actual state, unless the table allows the move under a lease
    in force."""
    allowed = targets(move, source)
    if not allowed:
        sources = dict.fromkeys(_name(rule.source) for rule in RULES if rule.move is move)
        raise IllegalMoveError(move, f"a session in {_name(source)}", sources)
    if target not in allowed:
        raise IllegalMoveError(move, f"the target {_name(target)}", sorted(map(_name, allowed)))


def decoded(held: bytes | None) -> str | None:
    """The state in a session's hash; None if there is no such session.

    A state of a newer version is returned unchanged: it belongs to none of the sets above.
    """
    return None if held is None else held.decode()


def lua_condition(move: Move) -> str:
    """The rules of a move as a Lua expression over `state` and `lapsed` (whether the lease has expired)."""
    terms = {None: "", True: " and not lapsed", False: " and lapsed"}
    sources = [rule for rule in RULES if rule.move is move and rule.source is not None]
    return "(" + " or ".join(f"state == '{rule.source!s}'{terms[rule.lease_in_force]}" for rule in sources) + ")"


def lua_membership(states: Iterable[SessionState]) -> str:
    """Whether `state` is one of these, as a Lua expression."""
    return "(" + " or ".join(f"state == '{state!s}'" for state in sorted(states)) + ")"


def _name(state: StateOrNone) -> str:
    return "no session" if state is None else str(state)
