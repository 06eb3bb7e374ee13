"""Which messages of the native protocol are accepted, ignored and rejected in each state."""

import itertools

import pytest

from frontend.protocols.native import states as native
from frontend.protocols.native.messages import KINDS
from frontend.protocols.native.states import ACCEPTED, BINARY, IGNORED, MOVES, Move, NativeProtocol, State, Verdict
from shared.errors import UnknownTypeError

ALL_KINDS = (BINARY, *KINDS)


@pytest.mark.parametrize("state", State)
def test_every_kind_has_one_verdict_in_every_state(state: State) -> None:
    assert not ACCEPTED[state] & IGNORED[state]
    assert ACCEPTED[state] | IGNORED[state] <= set(ALL_KINDS)
    for kind in ALL_KINDS:
        protocol = NativeProtocol()
        protocol.state = state
        match native.verdict_on(state, kind):
            case Verdict.ACCEPT:
                assert protocol.admit(kind)
            case Verdict.IGNORE:
                assert not protocol.admit(kind)
            case Verdict.REFUSE:
                with pytest.raises(UnknownTypeError, match=f"^{kind} was sent while .*; expected now: ") as caught:
                    protocol.admit(kind)
                assert all(name in caught.value.message for name in ACCEPTED[state])
        assert protocol.state is state


@pytest.mark.parametrize("state", State)
def test_questions_about_the_service_are_always_allowed(state: State) -> None:
    assert {"ping", "status"} <= ACCEPTED[state]


def test_every_state_is_reached_and_left() -> None:
    assert set(MOVES.values()) == set(State)
    assert {state for state, _ in MOVES} == set(State)
    assert {move for _, move in MOVES} == set(Move)


def walk(*moves: Move) -> NativeProtocol:
    protocol = NativeProtocol()
    for move in moves:
        protocol.move(move)
    return protocol


@pytest.mark.parametrize("kind", [BINARY, "chunk", "commit", "configure", "stop"])
def test_nothing_of_a_session_is_allowed_before_start(kind: str) -> None:
    with pytest.raises(UnknownTypeError, match="no session is live; expected now: audio, ping, status, start, resume"):
        NativeProtocol().admit(kind)


@pytest.mark.parametrize("kind", ["start", "resume", "audio"])
def test_a_second_session_is_refused_while_one_is_live_and_waits_while_it_finishes(kind: str) -> None:
    protocol = walk(Move.OPENED)
    with pytest.raises(UnknownTypeError, match="a session is live"):
        protocol.admit(kind)
    assert not protocol.must_wait(kind)
    protocol.move(Move.STOPPED)
    assert protocol.must_wait(kind)
    protocol.move(Move.DONE)
    assert not protocol.must_wait(kind)
    assert protocol.admit(kind)


@pytest.mark.parametrize(
    ("moves", "situation"), [((), "no session is live"), ((Move.OPENED, Move.STOPPED), "the session is finishing")]
)
def test_audio_that_nobody_expects_is_refused_once(moves: tuple[Move, ...], situation: str) -> None:
    protocol = walk(*moves)
    with pytest.raises(UnknownTypeError, match=f"{situation}; expected now: "):
        protocol.admit(BINARY)
    assert [protocol.admit(kind) for kind in (BINARY, "chunk", BINARY)] == [False, False, False]
    for move in (Move.OPENED, Move.STOPPED) if not moves else (Move.DONE,):
        protocol.move(move)
    with pytest.raises(UnknownTypeError):
        protocol.admit("chunk")


@pytest.mark.parametrize(
    "moves", [(Move.REFUSED,), (Move.OPENED, Move.FAILED), (Move.OPENED, Move.STOPPED, Move.FAILED)]
)
@pytest.mark.parametrize("kind", [BINARY, "chunk", "commit", "configure", "stop", "cancel"])
def test_what_was_sent_before_the_client_knew_is_passed_over(moves: tuple[Move, ...], kind: str) -> None:
    protocol = walk(*moves)
    assert not protocol.admit(kind)
    assert protocol.admit("start")


def test_sessions_can_follow_one_another() -> None:
    protocol = walk(Move.OPENED, Move.STOPPED, Move.DONE, Move.OPENED, Move.CANCELLED)
    assert protocol.state is State.IDLE
    assert protocol.admit("start")


@pytest.mark.parametrize(("state", "move"), [pair for pair in itertools.product(State, Move) if pair not in MOVES])
def test_an_impossible_move_is_our_bug(state: State, move: Move) -> None:
    protocol = NativeProtocol()
    protocol.state = state
    with pytest.raises(AssertionError):
        protocol.move(move)


@pytest.mark.parametrize(
    ("text", "expected"), [("{}", True), ('{ \n "a', True), ("{", False), ("{a", False), ("{{", False)]
)
def test_what_can_begin_an_object_is_told_from_short_audio(text: str, expected: bool) -> None:
    assert native.looks_like_json(text) is expected
