/**
 * How a live session survives the loss of its connection: the states of its client and the transitions between them.
 *
 * `frontend/client/src/voxtral_client/resume_rules.py` has the same table, and says what each state, event and action means; the vectors in
 * `tests/vectors` drive both. Does no I/O and knows no clock: `LiveSession` reports events and carries out the actions.
 *
 * @typedef {"idle" | "starting" | "live" | "ended" | "cut" | "lost" | "resuming" | "live_contested" | "ended_contested"
 *   | "cut_contested" | "lost_contested" | "resuming_contested" | "done" | "failed" | "left"} State
 * @typedef {"start" | "ready" | "ready_ended" | "ready_cut" | "ready_forgotten" | "done" | "lost" | "silent" | "opened"
 *   | "taken" | "gone" | "gone_whole" | "final" | "ending" | "rejected" | "given_up" | "left"} SessionEvent
 * @typedef {"greet" | "serve" | "begin_search" | "reconnect" | "end_search" | "start_over" | "give_up" | "leave"
 *   | "report" | "finish" | "fail"} Action
 * @typedef {[State, Action[]]} Move
 * @typedef {Partial<Record<SessionEvent, Move>>} Moves
 */

const FIRST_PAUSE_S = 0.1;
const LONGEST_PAUSE_S = 3;
const GONE = new Set(["session_unknown", "session_expired"]);
const FINAL = new Set(["unauthorized", "forbidden", "message_too_large", "frame_invalid", "idle_timeout"]);
const TAKEN = "session_resumed";

/** @type {Set<State>} */
export const OVER = new Set(["done", "failed", "left"]);
/** The server has the session on this connection. @type {Set<State>} */
export const SERVING = new Set(["live", "ended", "cut", "live_contested", "ended_contested", "cut_contested"]);
/** The server has not answered the greeting. @type {Set<State>} */
export const GREETING = new Set(["starting", "resuming", "resuming_contested"]);

/** @type {Action[]} */
const SEARCH = ["begin_search", "reconnect"];
/** @type {Action[]} */
const RETRY = ["give_up", "reconnect"];
/** @type {Move} */
const DONE = ["done", ["finish"]];
/** @type {Move} */
const FAILED = ["failed", ["fail"]];
/** @type {Move} */
const FAILED_WHILE_LOST = ["failed", ["end_search", "fail"]];
/** @type {Move} */
const LEFT_UNANSWERED = ["failed", ["leave", "end_search", "fail"]];
/** @type {Move} */
const TAKEN_BACK = ["lost", ["give_up", ...SEARCH]];

/**
 * The transitions of a state in which the session has a connection.
 *
 * @param {State} state
 * @param {Move} done
 * @param {State} lost
 * @param {Move} taken
 * @returns {Moves}
 */
const serving = (state, done, lost, taken) => ({
  done,
  lost: [lost, SEARCH],
  silent: [lost, ["give_up", ...SEARCH]],
  taken,
  gone: FAILED,
  gone_whole: FAILED,
  final: FAILED,
  ending: FAILED,
  rejected: [state, ["report"]],
  given_up: FAILED,
  left: ["left", ["leave"]],
});

/**
 * The transitions of a state in which the session has no connection.
 *
 * @param {State} resuming
 * @returns {Moves}
 */
const lost = (resuming) => ({
  opened: [resuming, ["greet"]],
  final: FAILED_WHILE_LOST,
  given_up: FAILED_WHILE_LOST,
  left: ["left", ["end_search"]],
});

/**
 * The transitions of a state in which the client has asked the server for the session.
 *
 * @param {State} state
 * @param {State} live
 * @param {State} ended
 * @param {State} cut
 * @param {State} lost
 * @returns {Moves}
 */
const resuming = (state, live, ended, cut, lost) => ({
  ready: [live, ["end_search", "serve"]],
  ready_ended: [ended, ["end_search", "serve"]],
  ready_cut: [cut, ["end_search", "serve"]],
  ready_forgotten: LEFT_UNANSWERED,
  lost: ["lost_contested", ["reconnect"]],
  silent: ["lost_contested", RETRY],
  taken: ["lost_contested", RETRY],
  gone: FAILED_WHILE_LOST,
  gone_whole: [state, ["start_over", "greet"]],
  final: FAILED_WHILE_LOST,
  ending: [lost, RETRY],
  rejected: [lost, RETRY],
  given_up: LEFT_UNANSWERED,
  left: ["left", ["leave", "end_search"]],
});

/** @type {Record<State, Moves>} */
export const MOVES = {
  idle: { start: ["starting", ["greet"]], lost: FAILED, left: ["left", []] },
  starting: {
    ready: ["live", ["serve"]],
    lost: ["lost", SEARCH],
    taken: FAILED,
    gone: FAILED,
    gone_whole: FAILED,
    final: FAILED,
    ending: FAILED,
    rejected: FAILED,
    given_up: FAILED,
    left: ["left", ["leave"]],
  },
  live: serving("live", DONE, "lost", FAILED),
  ended: serving("ended", DONE, "lost", FAILED),
  cut: serving("cut", FAILED, "lost", FAILED),
  lost: lost("resuming"),
  resuming: resuming("resuming", "live", "ended", "cut", "lost"),
  live_contested: serving("live_contested", DONE, "lost_contested", TAKEN_BACK),
  ended_contested: serving("ended_contested", DONE, "lost_contested", TAKEN_BACK),
  cut_contested: serving("cut_contested", FAILED, "lost_contested", TAKEN_BACK),
  lost_contested: lost("resuming_contested"),
  resuming_contested: resuming(
    "resuming_contested",
    "live_contested",
    "ended_contested",
    "cut_contested",
    "lost_contested",
  ),
  done: {},
  failed: {},
  left: {},
};

/** The state of one session. */
export class Machine {
  /** @type {State} */
  state = "idle";

  /**
   * If a state has no row for an event, the event changes nothing: it may have crossed a transition in progress.
   *
   * @param {SessionEvent} event
   * @returns {Action[]} the actions to execute now, in this order
   */
  move(event) {
    const [state, actions] = MOVES[this.state][event] ?? [this.state, []];
    this.state = state;
    return actions;
  }
}

/**
 * Which errors are final and which are worth another attempt.
 *
 * - `session_unknown`, `session_expired`: the session is gone. If it has produced no event and all audio is still here
 *   (`isWhole`), a new session replaces it; otherwise the error is final.
 * - `session_resumed`: another connection has the session. Final, unless that is an older connection of this client.
 * - `unauthorized`, `forbidden`, `message_too_large`, `frame_invalid`, `idle_timeout`: final. The server closes the
 *   connection, and would give the same answer again.
 * - Any other answer to a `resume` (`server_busy`, `model_unavailable`, `internal_error`, …) is retried until the time to
 *   resume is over. Any other error of a session that has a connection is final if it ends the session there
 *   (`endsSession`: it has a `seq`, or is `internal_error`), and is otherwise reported to the user.
 *
 * @param {string} code
 * @param {{endsSession: boolean, isWhole: boolean}} circumstances
 * @returns {SessionEvent}
 */
export function errorEvent(code, { endsSession, isWhole }) {
  if (GONE.has(code)) return isWhole ? "gone_whole" : "gone";
  if (code === TAKEN) return "taken";
  if (FINAL.has(code)) return "final";
  return endsSession ? "ending" : "rejected";
}

/**
 * The pause before an attempt to reconnect; the first one is number 0. The whole pause depends on chance, so that clients
 * that lost their server at the same moment reconnect evenly spread ("full jitter").
 *
 * @param {number} attempt
 * @param {number} chance a random number from 0 to 1
 */
export function pauseS(attempt, chance) {
  return chance * Math.min(FIRST_PAUSE_S * 2 ** attempt, LONGEST_PAUSE_S);
}
