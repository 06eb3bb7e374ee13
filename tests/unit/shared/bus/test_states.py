"""The table of a session's states, for itself."""

import pytest

from shared.bus.ownership import Ending
from shared.bus.states import (
    ACTIVE,
    ENDED,
    RULES,
    IllegalMoveError,
    Move,
    SessionState,
    check,
    decoded,
    lua_condition,
    targets,
)


def test_each_state_is_active_or_ended() -> None:
    assert set(SessionState) == ACTIVE | ENDED
    assert not ACTIVE & ENDED


def test_every_state_is_reached_and_left() -> None:
    assert {target for rule in RULES for target in rule.targets} == {None, *SessionState}
    leaving = {rule.source for rule in RULES if rule.targets != {rule.source}}
    assert leaving == {None, *SessionState} - {SessionState.CANCELLED}, "that one expires"


@pytest.mark.parametrize("move", [Move.RENEW, Move.OFFER, Move.END])
def test_only_an_owned_session_is_renewed_offered_or_ended(move: Move) -> None:
    allowed = {state for state in (None, *SessionState) if targets(move, state)}
    assert allowed == {SessionState.LIVE, SessionState.OFFERED}


def test_claim_needs_the_right_lease() -> None:
    claimed = {
        (state, in_force)
        for state in SessionState
        for in_force in (True, False)
        if targets(Move.CLAIM, state, lease_in_force=in_force)
    }
    live, offered = SessionState.LIVE, SessionState.OFFERED
    assert claimed == {(SessionState.WAITING, True), (live, False), (offered, True), (offered, False)}


def test_illegal_move_names_what_was_expected_and_what_came() -> None:
    with pytest.raises(IllegalMoveError) as caught:
        check(Move.OFFER, SessionState.DONE, SessionState.OFFERED)
    assert str(caught.value) == "Move offer: a session in done came, expected live or offered."
    with pytest.raises(IllegalMoveError) as caught:
        check(Move.ADMIT, SessionState.LIVE, SessionState.WAITING)
    assert str(caught.value) == "Move admit: a session in live came, expected no session."
    with pytest.raises(IllegalMoveError) as caught:
        check(Move.END, SessionState.LIVE, SessionState.OFFERED)
    assert str(caught.value) == "Move end: the target offered came, expected cancelled or done or failed."
    check(Move.END, SessionState.LIVE, SessionState.DONE)


def test_session_ends_in_a_state_that_ends_it() -> None:
    assert Ending(SessionState.FAILED, 1).state is SessionState.FAILED
    with pytest.raises(IllegalMoveError, match="the target live came, expected cancelled or done or failed"):
        Ending(SessionState.LIVE, 1)


def test_state_of_a_newer_version_belongs_to_no_set() -> None:
    assert decoded(b"live") in ACTIVE
    assert decoded(b"paused") == "paused"
    assert decoded(b"paused") not in ACTIVE | ENDED
    assert decoded(None) is None


def test_lua_checks_the_same_table() -> None:
    assert lua_condition(Move.OFFER) == "(state == 'live' or state == 'offered')"
    assert lua_condition(Move.CLAIM) == (
        "(state == 'waiting' and not lapsed or state == 'live' and lapsed or state == 'offered')"
    )
