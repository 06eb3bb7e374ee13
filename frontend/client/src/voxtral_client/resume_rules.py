"""How a live session survives the loss of its connection: the states of its client and the transitions between them.

    IDLE → STARTING → LIVE (ENDED, CUT) → DONE          start, ready, done
                        ↓ ↑                              the connection is lost; the session is resumed
                      LOST ⇄ RESUMING                    the next connection is open; it is lost, too
                        ↓       ↓
                          FAILED                         the session is gone, or the time to resume it is over

Every state but the first and the last ones can end in FAILED, and in LEFT when its user leaves. In the CONTESTED states
a `resume` that was sent over a broken connection may still reach the server, which then moves the session away from the
connection that has it: the client answers such a `session_resumed` with another `resume`.

Does no I/O and knows no clock: `ResumingConnection` reports events and carries out the actions.
`frontend/client-js/lib/resume-rules.js` has the same table; the vectors in `tests/vectors` drive both.
"""

from enum import StrEnum
from typing import Final

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 3.0
GONE: Final = frozenset({"session_unknown", "session_expired"})
FINAL: Final = frozenset({"unauthorized", "forbidden", "message_too_large", "frame_invalid", "idle_timeout"})
TAKEN: Final = "session_resumed"


class State(StrEnum):
    IDLE = "idle"
    STARTING = "starting"
    """`start` was sent; the server has not answered."""
    LIVE = "live"
    """The server accepts audio over the connection."""
    ENDED = "ended"
    """The server accepts no more audio, since it has the `stop`; only its events follow."""
    CUT = "cut"
    """The server accepts no more audio, although it has not got all: its events follow, then the session has failed."""
    LOST = "lost"
    """Without a connection; the client is looking for the next one."""
    RESUMING = "resuming"
    """`resume` was sent over the next connection, or another `start`; the server has not answered."""
    LIVE_CONTESTED = "live_contested"
    ENDED_CONTESTED = "ended_contested"
    CUT_CONTESTED = "cut_contested"
    LOST_CONTESTED = "lost_contested"
    RESUMING_CONTESTED = "resuming_contested"
    DONE = "done"
    FAILED = "failed"
    LEFT = "left"


class Event(StrEnum):
    START = "start"
    """The user starts the session; its connection is open."""
    READY = "ready"
    """The server has answered, and accepts audio."""
    READY_ENDED = "ready_ended"
    """The server has answered, and accepts no more audio; the user has called `stop`."""
    READY_CUT = "ready_cut"
    """The server has answered, and accepts no more audio, although the user has not called `stop`."""
    READY_FORGOTTEN = "ready_forgotten"
    """The server has answered, and needs audio that is no longer kept."""
    DONE = "done"
    LOST = "lost"
    """The connection has ended."""
    SILENT = "silent"
    """The server does not answer over this connection."""
    OPENED = "opened"
    """The next connection is open."""
    TAKEN = "taken"
    GONE = "gone"
    GONE_WHOLE = "gone_whole"
    FINAL = "final"
    ENDING = "ending"
    REJECTED = "rejected"
    GIVEN_UP = "given_up"
    """The time to resume the session is over, or it cannot be resumed at all."""
    LEFT = "left"
    """The user no longer needs the session."""


class Action(StrEnum):
    GREET = "greet"
    """Send `resume`, or `start` if there is no session yet, and wait for the answer."""
    SERVE = "serve"
    """Send what the server lacks, and receive."""
    BEGIN_SEARCH = "begin_search"
    """Report that the connection is lost, and start the time in which the session can be resumed."""
    RECONNECT = "reconnect"
    """Pause, then connect, repeatedly."""
    END_SEARCH = "end_search"
    """Report that the search for a connection is over, and stop its time."""
    START_OVER = "start_over"
    """Drop the session that is gone: the next greeting starts another one with the same audio."""
    GIVE_UP = "give_up"
    """Close the connection so that the server keeps the session (code 4000)."""
    LEAVE = "leave"
    """Tell the server to drop the session, and do not wait for an answer."""
    REPORT = "report"
    """Hand the error to the user; the session continues."""
    FINISH = "finish"
    """Report to the user that all events have arrived."""
    FAIL = "fail"
    """Report to the user why the session has ended."""


OVER: Final = frozenset({State.DONE, State.FAILED, State.LEFT})
SERVING: Final = frozenset(
    {State.LIVE, State.ENDED, State.CUT, State.LIVE_CONTESTED, State.ENDED_CONTESTED, State.CUT_CONTESTED}
)

Move = tuple[State, tuple[Action, ...]]
_FAIL: Final = (Action.FAIL,)
_END_AND_FAIL: Final = (Action.END_SEARCH, Action.FAIL)
_SEARCH: Final = (Action.BEGIN_SEARCH, Action.RECONNECT)
_RETRY: Final = (Action.GIVE_UP, Action.RECONNECT)


def _serving(state: State, done: Move, lost: State, taken: Move) -> dict[Event, Move]:
    """The transitions of a state in which the session has a connection."""
    failed: Move = (State.FAILED, _FAIL)
    return {
        Event.DONE: done,
        Event.LOST: (lost, _SEARCH),
        Event.SILENT: (lost, (Action.GIVE_UP, *_SEARCH)),
        Event.TAKEN: taken,
        Event.GONE: failed,
        Event.GONE_WHOLE: failed,
        Event.FINAL: failed,
        Event.ENDING: failed,
        Event.REJECTED: (state, (Action.REPORT,)),
        Event.GIVEN_UP: failed,
        Event.LEFT: (State.LEFT, (Action.LEAVE,)),
    }


def _lost(resuming: State) -> dict[Event, Move]:
    """The transitions of a state in which the session has no connection."""
    return {
        Event.OPENED: (resuming, (Action.GREET,)),
        Event.FINAL: (State.FAILED, _END_AND_FAIL),
        Event.GIVEN_UP: (State.FAILED, _END_AND_FAIL),
        Event.LEFT: (State.LEFT, (Action.END_SEARCH,)),
    }


def _resuming(state: State, live: State, ended: State, cut: State, lost: State) -> dict[Event, Move]:
    """The transitions of a state in which the client has asked the server for the session."""
    served = (Action.END_SEARCH, Action.SERVE)
    return {
        Event.READY: (live, served),
        Event.READY_ENDED: (ended, served),
        Event.READY_CUT: (cut, served),
        Event.READY_FORGOTTEN: (State.FAILED, (Action.LEAVE, *_END_AND_FAIL)),
        Event.LOST: (State.LOST_CONTESTED, (Action.RECONNECT,)),
        Event.SILENT: (State.LOST_CONTESTED, _RETRY),
        Event.TAKEN: (State.LOST_CONTESTED, _RETRY),
        Event.GONE: (State.FAILED, _END_AND_FAIL),
        Event.GONE_WHOLE: (state, (Action.START_OVER, Action.GREET)),
        Event.FINAL: (State.FAILED, _END_AND_FAIL),
        Event.ENDING: (lost, _RETRY),
        Event.REJECTED: (lost, _RETRY),
        Event.GIVEN_UP: (State.FAILED, (Action.LEAVE, *_END_AND_FAIL)),
        Event.LEFT: (State.LEFT, (Action.LEAVE, Action.END_SEARCH)),
    }


_DONE: Final[Move] = (State.DONE, (Action.FINISH,))
_FAILED: Final[Move] = (State.FAILED, _FAIL)
_TAKEN_BACK: Final[Move] = (State.LOST, (Action.GIVE_UP, *_SEARCH))
MOVES: Final[dict[State, dict[Event, Move]]] = {
    State.IDLE: {
        Event.START: (State.STARTING, (Action.GREET,)),
        Event.LOST: _FAILED,
        Event.LEFT: (State.LEFT, ()),
    },
    State.STARTING: {
        Event.READY: (State.LIVE, (Action.SERVE,)),
        Event.LOST: (State.LOST, _SEARCH),
        Event.TAKEN: _FAILED,
        Event.GONE: _FAILED,
        Event.GONE_WHOLE: _FAILED,
        Event.FINAL: _FAILED,
        Event.ENDING: _FAILED,
        Event.REJECTED: _FAILED,
        Event.GIVEN_UP: _FAILED,
        Event.LEFT: (State.LEFT, (Action.LEAVE,)),
    },
    State.LIVE: _serving(State.LIVE, _DONE, State.LOST, _FAILED),
    State.ENDED: _serving(State.ENDED, _DONE, State.LOST, _FAILED),
    State.CUT: _serving(State.CUT, _FAILED, State.LOST, _FAILED),
    State.LOST: _lost(State.RESUMING),
    State.RESUMING: _resuming(State.RESUMING, State.LIVE, State.ENDED, State.CUT, State.LOST),
    State.LIVE_CONTESTED: _serving(State.LIVE_CONTESTED, _DONE, State.LOST_CONTESTED, _TAKEN_BACK),
    State.ENDED_CONTESTED: _serving(State.ENDED_CONTESTED, _DONE, State.LOST_CONTESTED, _TAKEN_BACK),
    State.CUT_CONTESTED: _serving(State.CUT_CONTESTED, _FAILED, State.LOST_CONTESTED, _TAKEN_BACK),
    State.LOST_CONTESTED: _lost(State.RESUMING_CONTESTED),
    State.RESUMING_CONTESTED: _resuming(
        State.RESUMING_CONTESTED,
        State.LIVE_CONTESTED,
        State.ENDED_CONTESTED,
        State.CUT_CONTESTED,
        State.LOST_CONTESTED,
    ),
    State.DONE: {},
    State.FAILED: {},
    State.LEFT: {},
}
"""If a state has no row for an event, the event changes nothing: it may have crossed a transition in progress."""


class Machine:
    """The state of one session."""

    def __init__(self) -> None:
        self.state = State.IDLE

    def move(self, event: Event) -> tuple[Action, ...]:
        """The actions to execute now, in this order."""
        self.state, actions = MOVES[self.state].get(event, (self.state, ()))
        return actions


def error_event(code: str, *, ends_session: bool, is_whole: bool) -> Event:
    """Which errors are final and which are worth another attempt.

    - `session_unknown`, `session_expired`: the session is gone. If it has produced no event and all audio is still here
      (`is_whole`), a new session replaces it; otherwise the error is final.
    - `session_resumed`: another connection has the session. Final, unless that is an older connection of this client.
    - `unauthorized`, `forbidden`, `message_too_large`, `frame_invalid`, `idle_timeout`: final. The server closes the
      connection, and would give the same answer again.
    - Any other answer to a `resume` (`server_busy`, `model_unavailable`, `internal_error`, …) is retried until the time
      to resume is over. Any other error of a session that has a connection is final if it ends the session there
      (`ends_session`: it has a `seq`, or is `internal_error`), and is otherwise reported to the user.
    """
    if code in GONE:
        return Event.GONE_WHOLE if is_whole else Event.GONE
    if code == TAKEN:
        return Event.TAKEN
    if code in FINAL:
        return Event.FINAL
    return Event.ENDING if ends_session else Event.REJECTED


def pause_s(attempt: int, chance: float) -> float:
    """The pause before an attempt to reconnect; the first one is number 0.

    `chance` is a random number from 0 to 1. The whole pause depends on it, so that clients that lost their server at
    the same moment reconnect evenly spread ("full jitter").
    """
    return float(chance * min(FIRST_PAUSE_S * 2 ** min(attempt, 32), LONGEST_PAUSE_S))
