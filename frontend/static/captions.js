/**
 * Live captions of one session: `captions?session=…#token=…`. The token after `#` stays in the browser.
 *
 * With `overlay=1` the page is transparent and shows only the newest lines, for broadcasting software such as OBS;
 * `size` (CSS pixels), `lines` and `align` (left, center, right) change how.
 */

import { element } from "./elements.js";
import { labelOf } from "./exports.js";
import { follow } from "./lib/event-stream.js";
import { saveText } from "./files.js";
import { drawText } from "./lib/partial.js";
import { turnsOf, withSpeakers } from "./turns.js";

/** More lines than a screen shows; the transcript has the older ones. */
const KEPT_LINES = 200;
/** The view follows the newest line if it is this near to it. Less than the height of a line. */
const NEAR_PX = 24;
const STATES = {
  connecting: "Connecting…",
  live: "Live",
  waiting: "Not connected, retrying…",
  ended: "The session has ended",
};
const NOT_SAVED = "The server cannot be reached; the transcript was not saved";

const scroller = element("captions");
const finals = element("finals");
const partials = element("partials");
const live = element("live");

let following = true;
/** The position and size of the view when it was last checked. */
let seen = { top: 0, width: 0, height: 0, text: 1 };

/** @type {{segment: any, lines: HTMLElement[]}[]} the shown finals, each with a line for each turn, by when they began */
const shown = [];
/** @type {Map<number, HTMLElement>} the line of each segment that is still open */
const open = new Map();

/** @param {Record<string, any>} event */
function show(event) {
  if (event.type === "partial") showPartial(event);
  if (event.type === "final") showFinal(event);
  if (event.type === "revised") showRevised(event);
  if (event.type === "speakers") showSpeakers(event);
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
  draw(line, event);
}

/** @param {Record<string, any>} event */
function showFinal(event) {
  open.get(event.segment)?.remove();
  open.delete(event.segment);
  if (!event.text.trim()) return;
  const segment = segmentOf(event);
  const after = shown.findLastIndex((earlier) => earlier.segment.start <= segment.start) + 1; // another channel's may begin later
  shown.splice(after, 0, { segment, lines: [] });
  drawFinal(after);
  while (finals.childElementCount > KEPT_LINES) {
    shown[0].lines.shift()?.remove();
    if (shown[0].lines.length === 0) shown.shift();
  }
}

/**
 * @param {Record<string, any>} event a `final` or a `revised`
 * @returns {Record<string, any>}
 */
function segmentOf(event) {
  const { words = [], start = 0, end = 0, speaker_unsure: isUnsure } = event;
  return { ...event, text: event.text.trim(), words, start, end, isUnsure };
}

/** @param {Record<string, any>} event another text for a final, if that is still shown */
function showRevised(event) {
  const at = shown.findIndex(({ segment }) => segment.segment === event.segment);
  if (at < 0) return;
  shown[at].segment = segmentOf(event);
  drawFinal(at);
}

/** @param {Record<string, any>} event who spoke in past finals */
function showSpeakers(event) {
  for (const said of event.segments) {
    const at = shown.findIndex(({ segment }) => segment.segment === said.segment);
    if (at < 0) continue;
    shown[at].segment = withSpeakers(shown[at].segment, said);
    drawFinal(at);
  }
}

/** @param {number} at */
function drawFinal(at) {
  const final = shown[at];
  for (const line of final.lines) line.remove();
  final.lines = turnsOf(final.segment).map((turn) => {
    const line = newLine();
    draw(line, turn);
    finals.insertBefore(line, shown[at + 1]?.lines[0] ?? null);
    return line;
  });
}

/**
 * @param {HTMLElement} line
 * @param {Record<string, any>} event
 */
function draw(line, event) {
  drawText(line, /** @type {any} */ (event));
  const name = labelOf(/** @type {any} */ ({ speakers: {} }), /** @type {any} */ (event));
  if (!name) return;
  const label = document.createElement("span");
  label.className = "speaker";
  label.textContent = `${name}: `;
  line.prepend(label);
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

/** @param {boolean} follows */
function setFollowing(follows) {
  following = follows;
  live.hidden = follows;
}

function look() {
  const { scrollTop: top, clientWidth: width, clientHeight: height, scrollHeight: text } = scroller;
  seen = { top, width, height, text };
}

/** Text was added or the window was resized: neither is scrolling by the reader. The width sets the font size. */
function settle() {
  if (following) scroller.scrollTop = scroller.scrollHeight;
  else if (scroller.clientWidth !== seen.width) scroller.scrollTop = (seen.top / seen.text) * scroller.scrollHeight;
  look();
}

/** A reader who scrolls back stays there until they return. A resize is not scrolling: `settle` is called next. */
function scrolled() {
  if (scroller.clientWidth !== seen.width || scroller.clientHeight !== seen.height) return;
  const behind = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
  if (behind < NEAR_PX) setFollowing(true);
  else if (scroller.scrollTop < seen.top) setFollowing(false);
  look();
}

function goLive() {
  setFollowing(true);
  settle();
  scroller.focus();
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

/** Keeps the screen of a projector on during a session. */
async function stayAwake() {
  if (document.hidden) return;
  try {
    await navigator.wakeLock?.request("screen");
  } catch {
    // The system does not allow it.
  }
}

scroller.addEventListener("scroll", scrolled, { passive: true });
live.addEventListener("click", goLive);
const sizes = new ResizeObserver(settle);
for (const watched of [scroller, finals, partials]) sizes.observe(watched);

/** @param {URLSearchParams} parameters */
function applyOverlay(parameters) {
  if (parameters.get("overlay") !== "1") return;
  const { classList, style } = document.body;
  classList.add("overlay");
  const [size, lines, align] = ["size", "lines", "align"].map((name) => parameters.get(name) ?? "");
  if (/^\d{1,3}$/.test(size)) style.setProperty("--size", `${size}px`);
  if (/^[1-9]$/.test(lines)) style.setProperty("--lines", lines);
  if (["left", "center", "right"].includes(align)) style.setProperty("--align", align);
}

/** @param {string} message */
function refused(message) {
  document.body.classList.add("unlinked");
  showState("refused", message);
}

/** @param {string} form */
async function saveTranscript(form) {
  const url = new URL(`v1/sessions/${encodeURIComponent(session)}/transcript.${form}`, document.baseURI);
  try {
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    if (response.ok) saveText(`transcript.${form}`, await response.text());
    else refused((await response.json()).error.message);
  } catch {
    showState("ended", NOT_SAVED);
  }
}

for (const button of document.querySelectorAll("#transcript button")) {
  const { form } = /** @type {HTMLElement} */ (button).dataset;
  button.addEventListener("click", () => void saveTranscript(form ?? "txt"));
}

const parameters = new URLSearchParams(location.search);
applyOverlay(parameters);
const session = parameters.get("session") ?? "";
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
if (session && token) {
  void follow(new URL(`v1/sessions/${encodeURIComponent(session)}/events`, document.baseURI).href, token, {
    onEvent: show,
    onState: (state) => showState(state, STATES[state]),
    onEnd: () => {
      dropPartials();
      showState("ended", STATES.ended);
      element("transcript").hidden = false;
    },
    onRefused: refused,
  });
  document.addEventListener("visibilitychange", stayAwake);
  void stayAwake();
} else {
  refused("This link is incomplete; it must be captions?session=…#token=….");
}
