/** Live captions of one session: `captions?session=…#token=…`. The token behind `#` stays in the browser. */

import { follow } from "./event-stream.js";

/** More lines than a screen holds; older ones are in the transcript. */
const KEPT_LINES = 200;
const STATES = {
  connecting: "Connecting…",
  live: "Live",
  waiting: "Not connected, trying again…",
  ended: "The session has ended",
};

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const scroller = element("captions");
const finals = element("finals");
const partials = element("partials");

/** @type {Map<number, HTMLElement>} the line of each segment that is still open */
const open = new Map();

/** @param {Record<string, any>} event */
function show(event) {
  if (event.type === "partial") showPartial(event);
  if (event.type === "final") showFinal(event);
  if (event.type === "error") dropPartials();
}

/** @param {Record<string, any>} event */
function showPartial(event) {
  let line = open.get(event.segment);
  if (!line) {
    line = newLine();
    open.set(event.segment, line);
    partials.append(line);
  }
  fill(line, event);
}

/** @param {Record<string, any>} event */
function showFinal(event) {
  open.get(event.segment)?.remove();
  open.delete(event.segment);
  if (!event.text.trim()) return;
  const line = newLine();
  finals.append(line);
  fill(line, event);
  while (finals.childElementCount > KEPT_LINES) finals.firstElementChild?.remove();
}

function dropPartials() {
  open.clear();
  partials.replaceChildren();
}

function newLine() {
  const line = document.createElement("p");
  line.dir = "auto";
  return line;
}

/**
 * @param {HTMLElement} line
 * @param {Record<string, any>} event
 */
function fill(line, event) {
  // Who has scrolled back to read is left there.
  const behind = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
  line.textContent = event.text.trim();
  if (event.language) line.lang = event.language;
  if (behind < scroller.clientHeight / 3) scroller.scrollTop = scroller.scrollHeight;
}

/**
 * @param {string} state
 * @param {string} text
 */
function showState(state, text) {
  const shown = element("state");
  shown.dataset.state = state;
  if (shown.textContent !== text) shown.textContent = text;
}

/** A projector should not go dark while somebody speaks. */
async function stayAwake() {
  if (document.hidden) return;
  try {
    await navigator.wakeLock?.request("screen");
  } catch {
    // The system decides.
  }
}

const session = new URLSearchParams(location.search).get("session") ?? "";
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
if (session && token) {
  void follow(new URL(`v1/sessions/${encodeURIComponent(session)}/events`, document.baseURI).href, token, {
    onEvent: show,
    onState: (state) => showState(state, STATES[state]),
    onEnd: () => {
      dropPartials();
      showState("ended", STATES.ended);
    },
    onRefused: (message) => showState("refused", message),
  });
  document.addEventListener("visibilitychange", stayAwake);
  void stayAwake();
} else {
  showState("refused", "This link is not whole: it must be captions?session=…#token=….");
}
