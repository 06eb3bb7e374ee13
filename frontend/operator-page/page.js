/** Shows the state of the service, polled every two seconds while the page is visible, and sends operators' requests. */

import { duration, element, showFigures, showTable, size, sparkline, workerState } from "./tables.js";

/** @typedef {import("./tables.js").State} State */

const POLL_MS = 2000;
const POINTS = 150;
const CONFIRM_MS = 5000;
const STORED_AS = "voxtral-operator-key";
const UNKNOWN = "Unknown while Redis does not answer.";
const LATENCIES = { total: "Text after the audio it rests on, p95", queue: "Wait for the model, p95", model: "Time in the model, p95" };

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const form = /** @type {HTMLFormElement} */ (byId("key"));
const field = /** @type {HTMLInputElement} */ (byId("key-field"));

/** @type {Record<string, (number | null)[]>} */
const history = {};
/** What an operator has pressed once, and until when a second press confirms it. @type {Map<string, number>} */
const armed = new Map();
/** What has been requested. @type {Set<string>} */
const requested = new Set();
/** @type {State | null} */
let state = null;

/**
 * @param {string} path
 * @param {string} [method]
 */
async function ask(path, method = "GET") {
  const key = sessionStorage.getItem(STORED_AS);
  /** @type {Record<string, string>} */
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const answer = await fetch(path, { method, headers, signal: AbortSignal.timeout(10_000) });
  const content = await answer.json();
  return { status: answer.status, content };
}

/** @param {string} text empty: none */
function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

/**
 * @param {string} text
 * @param {"good" | "wait" | "bad"} kind
 */
function announce(text, kind) {
  const place = byId("state");
  if (place.textContent !== text) place.textContent = text;
  place.dataset.state = kind;
}

async function poll() {
  try {
    const { status, content } = await ask("operator/state");
    if (status === 200) {
      form.hidden = true;
      byId("content").hidden = false;
      if (state === null) notice("");
      show(/** @type {State} */ (content));
    } else {
      lock(content.detail);
    }
  } catch {
    announce("The health server does not answer", "bad");
  }
}

/** @param {string} reason */
function lock(reason) {
  announce("Locked", "wait");
  notice(sessionStorage.getItem(STORED_AS) ? reason : "");
  sessionStorage.removeItem(STORED_AS);
  state = null;
  byId("content").hidden = true;
  if (form.hidden) {
    form.hidden = false;
    field.focus();
  }
}

/** @param {State} now */
function show(now) {
  state = now;
  announce(now.status === "ready" ? "Ready" : (now.reason ?? "Not ready"), now.status === "ready" ? "good" : "bad");
  byId("mode").textContent = now.can_change ? "" : "Read-only: no keys are configured.";
  /** @type {(text: string) => string} */
  const known = (text) => (now.redis_ms === null ? "–" : text);
  showFigures(byId("figures"), [
    ["Sessions", known(String(now.sessions_total))],
    ["Slots free", known(`${now.slots_free} of ${now.slots}`)],
    ["Wait for a slot", known(String(now.waiting))],
    ["Without a worker", known(String(now.orphaned))],
    ["Connections", known(String(now.connections))],
    ["Viewers", known(String(now.viewers))],
    ["Largest lag", known(duration(now.lag_ms))],
    ["Event loop delay", known(duration(now.event_loop_delay_ms))],
    ["Redis", now.redis_ms === null ? "no answer" : `${now.redis_ms.toFixed(1)} ms`],
  ]);
  for (const name of Object.keys(LATENCIES)) {
    const values = (history[name] ??= []);
    values.push(now.latency_ms[name]?.p95 ?? null);
    if (values.length > POINTS) values.shift();
  }
  byId("sparklines").replaceChildren(...Object.entries(LATENCIES).map(([name, title]) => sparkline(title, history[name])));
  draw();
}

function draw() {
  if (state === null) return;
  const focused = document.activeElement instanceof HTMLButtonElement ? document.activeElement.dataset.path : undefined;
  showWorkers(state);
  showSessions(state);
  const errors = Object.entries(state.errors.by_code).sort(([, one], [, other]) => other - one);
  showTable(
    byId("errors"),
    ["Code", "#Number"],
    errors.map(([code, count]) => [{ text: code }, { text: String(count), number: true }]),
    state.redis_ms === null ? UNKNOWN : "No errors.",
  );
  if (focused) {
    /** @type {HTMLElement | null} */ (document.querySelector(`button[data-path="${CSS.escape(focused)}"]`))?.focus();
  }
}

/** @param {State} now */
function showWorkers(now) {
  const rows = now.workers.map((worker) => [
    { text: worker.id },
    ...(now.can_change
      ? [{ text: "", button: action("Drain", `operator/workers/${encodeURIComponent(worker.id)}/drain`, "POST", `worker ${worker.id}`, worker.draining || worker.gone_s !== null) }]
      : []),
    now.redis_ms === null ? { text: "unknown", state: "wait" } : workerState(worker),
    { text: duration(worker.lag_ms), number: true },
    { text: `${worker.slots_used} of ${worker.slots}`, number: true },
    { text: worker.model },
    { text: worker.device },
    { text: worker.step_ms.p99 ? `${worker.step_ms.p50.toFixed(1)} / ${worker.step_ms.p99.toFixed(1)} ms` : "–", number: true },
    { text: size(worker.rss_bytes), number: true },
    { text: worker.gpu_memory_used_bytes === null ? "–" : `${(worker.gpu_memory_used_bytes / 1e9).toFixed(1)} / ${size(worker.gpu_memory_total_bytes ?? 0)}`, number: true },
  ]);
  const starting = now.starting.map(({ doing }) => doing).join("; ");
  const headings = ["Worker", ...(now.can_change ? ["Drain"] : []), "State", "#Lag", "#Slots used", "Model", "Device", "#Step p50 / p99", "#Memory", "#GPU memory"];
  showTable(byId("workers"), headings, rows, now.redis_ms === null ? UNKNOWN : starting ? `No worker is running with a warm model. One ${starting}.` : "No worker is running.");
}

/** @param {State} now */
function showSessions(now) {
  const note = byId("sessions-note");
  note.hidden = now.sessions_total <= now.sessions.length;
  note.textContent = `The ${now.sessions.length} sessions with the largest lag, of ${now.sessions_total}.`;
  const rows = now.sessions.map((session) => [
    { text: session.id },
    { text: session.recording ? "–" : duration(session.lag_ms), number: true, state: session.lag_ms > 2000 ? "bad" : "" },
    ...(now.can_change
      ? [{ text: "", button: action("End", `operator/sessions/${encodeURIComponent(session.id)}`, "DELETE", `session ${session.id}`, false) }]
      : []),
    { text: session.worker },
    { text: session.key || "–" },
    { text: session.model ?? "–" },
    { text: session.recording ? "recording" : session.detached ? "live, client gone" : "live", state: session.detached ? "wait" : "" },
    { text: session.age_s === null ? "–" : duration(1000 * session.age_s), number: true },
    { text: duration(1000 * session.audio_s), number: true },
    { text: session.language ?? "–" },
  ]);
  const headings = ["Session", "#Lag", ...(now.can_change ? ["End"] : []), "Worker", "Key", "Model", "Kind", "#Age", "#Audio", "Language"];
  showTable(byId("sessions"), headings, rows, now.redis_ms === null ? UNKNOWN : now.orphaned ? "No worker serves a session." : "No sessions.");
}

/**
 * A button that sends its request when it is pressed twice within five seconds.
 *
 * @param {string} verb
 * @param {string} path
 * @param {string} method
 * @param {string} what
 * @param {boolean} off
 */
function action(verb, path, method, what, off) {
  const isArmed = (armed.get(path) ?? 0) > Date.now();
  const sent = requested.has(path);
  const button = /** @type {HTMLButtonElement} */ (element("button", sent ? "Requested" : isArmed ? `Confirm ${verb.toLowerCase()}` : verb));
  button.type = "button";
  button.dataset.path = path;
  button.disabled = off || sent;
  button.setAttribute("aria-label", `${button.textContent}: ${what}`);
  if (isArmed) button.dataset.armed = "";
  button.addEventListener("click", () => void press(path, method));
  return button;
}

/**
 * @param {string} path
 * @param {string} method
 */
async function press(path, method) {
  if ((armed.get(path) ?? 0) <= Date.now()) {
    armed.set(path, Date.now() + CONFIRM_MS);
    setTimeout(draw, CONFIRM_MS);
    draw();
    return;
  }
  armed.delete(path);
  requested.add(path);
  draw();
  try {
    const { status, content } = await ask(path, method);
    notice(status === 202 ? "" : content.detail);
    if (status !== 202) requested.delete(path);
  } catch {
    notice("The health server does not answer; try again.");
    requested.delete(path);
  }
  setTimeout(() => requested.delete(path), 3 * CONFIRM_MS);
  draw();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(STORED_AS, field.value.trim());
  field.value = "";
  void poll();
});

async function run() {
  for (;;) {
    if (!document.hidden && (form.hidden || sessionStorage.getItem(STORED_AS))) await poll();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

void run();
