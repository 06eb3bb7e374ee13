/** The page: connects the connection, the current work and the display. */

import { Connection, webSocketUrl } from "./connection.js";
import { saveText } from "./files.js";
import { KeyForm } from "./key.js";
import { LatencyWindow } from "./latency.js";
import { Notice } from "./notice.js";
import { OptionsForm } from "./options.js";
import { clock, Transcript } from "./transcript.js";
import { PAUSED } from "./wording.js";
import { FileWork, Recording } from "./work.js";

const MODEL_POLL_MS = 3000;
const CONFIG_LIMIT_MS = 10000;
const COPIED_SHOWN_MS = 1500;
const RECORD_LABELS = {
  idle: "Start recording",
  starting: "Cancel",
  recording: "Stop",
  finishing: "Finishing…",
  file: "Cancel",
};
const LINK_TEXTS = {
  connecting: "Connecting…",
  open: "Connected",
  waiting: "Not connected, retrying…",
  asleep: "Idle, connects when needed",
  locked: "A key is required",
  resuming: "Reconnecting…",
};

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const recordButton = element("record");
const chooseButton = element("choose-file");
const fileInput = /** @type {HTMLInputElement} */ (element("file"));
const progress = /** @type {HTMLProgressElement} */ (element("progress"));

const options = new OptionsForm(/** @type {HTMLFormElement} */ (element("controls")));
const transcript = new Transcript(
  {
    scroller: element("transcript"),
    finals: element("finals"),
    partials: element("partials"),
    empty: element("empty"),
  },
  () => (element("tools").hidden = transcript.isEmpty),
);
const notice = new Notice(element("notice"), recordButton, () => void again());

/** @type {import("./work.js").AudioLimits} */
let limits = { sampleRate: 16000, chunkSize: 1024, maxFileBytes: Infinity };
/** @type {Recording | FileWork | null} */
let work = null;
/** @type {import("./work.js").Phase | "idle"} */
let phase = "idle";
let latencies = new LatencyWindow();
let recordingSince = 0;
let modelReady = false;
/** @type {import("./connection.js").LinkState} */
let linkState = "connecting";
/** Whether the current work has lost its connection and has no new one yet. */
let reconnecting = false;

const keyForm = new KeyForm(/** @type {HTMLFormElement} */ (element("key-form")), () => void connection.connect());
const connection = new Connection(findUrl, () => keyForm.key, {
  onState: showLink,
  onMessage: (message) => {
    work?.receive(message);
    if (message.code === "unauthorized") notice.show(message.message);
  },
  onLost: () => work?.lost(),
});

/** @param {import("./connection.js").LinkState} state */
function showLink(state) {
  linkState = state;
  const link = element("link-state");
  const shown = reconnecting && state !== "locked" ? "resuming" : state;
  // Set once, not at every attempt.
  const text = shown === "connecting" && connection.failures > 0 ? LINK_TEXTS.waiting : LINK_TEXTS[shown];
  if (link.textContent !== text) link.textContent = text;
  link.dataset.state = shown;
  element("reconnect").hidden = shown !== "waiting" && shown !== "asleep";
  if (state === "open" && keyForm.isShown) notice.hide();
  if (state !== "connecting") keyForm.show(state === "locked");
  if (state === "open") awaitModel();
}

/**
 * Requests what the server can do and shows it.
 *
 * @returns {Promise<import("./options.js").ServerConfig>}
 */
async function loadConfig() {
  const response = await fetch("config.json", { signal: AbortSignal.timeout(CONFIG_LIMIT_MS) });
  if (!response.ok) throw new Error(response.statusText);
  const config = await response.json();
  limits = { sampleRate: config.sample_rate, chunkSize: config.chunk_size, maxFileBytes: config.max_file_bytes };
  element("model").textContent = config.model ? `${config.model} on ${config.device}` : "No model is ready yet";
  modelReady = config.model !== null;
  options.apply(config);
  return config;
}

/** Polls while the server has no model. */
function awaitModel() {
  if (modelReady || !connection.isOpen) return;
  setTimeout(() => loadConfig().catch(() => null).finally(awaitModel), MODEL_POLL_MS);
}

async function findUrl() {
  const { page_token: token, key_needed: keyNeeded } = await loadConfig();
  keyForm.isNeeded = keyNeeded;
  return webSocketUrl(document.baseURI, token);
}

/** @returns {import("./work.js").WorkObserver} */
function observer() {
  let answered = false;
  return {
    onPhase: showPhase,
    onReconnecting: (isLost) => {
      reconnecting = isLost;
      showLink(linkState);
    },
    onPaused: (isPaused) => (isPaused ? notice.show(PAUSED) : notice.hide()),
    onLevel: (peak) => element("level-bar").style.setProperty("transform", `scaleX(${levelOf(peak)})`),
    onProgress: (fraction) => (progress.value = fraction),
    onEvent: (event) => {
      if (event.type === "partial") transcript.showPartial(event);
      if (event.type === "warning" || event.type === "error") notice.show(event.message);
      if (event.type === "ready") offerCaptions(event);
      if (event.type === "response" && !answered) {
        transcript.showFinal({ segment: 0, text: event.text, end: event.audio_duration_ms / 1000 });
      }
      if (event.type === "final") {
        answered = true;
        transcript.showFinal(event);
      }
      if (event.latency && work instanceof Recording) showLatency(event.latency.total);
    },
    onEnd: (trouble) => {
      work = null;
      transcript.dropPartials();
      showPhase("idle");
      if (trouble) notice.show(trouble.message, trouble.retryAfter);
    },
  };
}

/**
 * Shows a link with which others can view the session. The part after `#` is not sent to any server.
 *
 * @param {Record<string, any>} ready
 */
function offerCaptions(ready) {
  const link = /** @type {HTMLAnchorElement} */ (element("captions-link"));
  link.href = `captions?session=${ready.session_id}#token=${ready.viewer_token}`;
  link.hidden = false;
}

let again = record;

async function record() {
  again = record;
  beginWork();
  latencies = new LatencyWindow();
  const recording = new Recording(connection, limits, options.chosen, observer());
  work = recording;
  await recording.start();
}

/** @param {File} file */
async function sendFile(file) {
  if (work) return;
  again = () => sendFile(file);
  beginWork();
  progress.removeAttribute("value");
  element("activity-text").textContent = file.name;
  const sending = new FileWork(connection, limits, options.chosen, observer());
  work = sending;
  await sending.start(file);
}

function beginWork() {
  notice.hide();
  element("latency").hidden = true;
  element("captions-link").hidden = true;
  transcript.begin();
}

/** @param {import("./work.js").Phase | "idle"} next */
function showPhase(next) {
  phase = next;
  const busy = phase !== "idle";
  recordButton.dataset.work = phase;
  recordButton.setAttribute("aria-disabled", String(phase === "finishing"));
  element("record-label").textContent = RECORD_LABELS[phase];
  chooseButton.setAttribute("aria-disabled", String(busy));
  options.lock(busy);
  document.body.classList.toggle("working", busy);
  element("drop-hint").hidden = busy;
  element("activity").hidden = phase !== "recording" && phase !== "file";
  element("level").hidden = phase !== "recording";
  progress.hidden = phase !== "file";
  if (phase === "recording") {
    recordingSince = performance.now();
    showElapsed();
  }
}

function showElapsed() {
  if (phase !== "recording") return;
  element("activity-text").textContent = clock((performance.now() - recordingSince) / 1000);
  setTimeout(showElapsed, 250);
}

/** @param {number} ms */
function showLatency(ms) {
  latencies.add(ms);
  element("latency").hidden = false;
  element("latency-latest").textContent = `${Math.round(ms)} ms`;
  element("latency-median").textContent = `${Math.round(latencies.median)} ms`;
}

/**
 * Peaks of speech mostly lie between -50 and 0 dB; shown from 0 to 1.
 *
 * @param {number} peak
 */
function levelOf(peak) {
  return Math.max(0, Math.min(1, 1 + Math.log10(Math.max(peak, 1e-6)) / 2.5));
}

recordButton.addEventListener("click", () => {
  if (keyForm.isShown) return keyForm.show(true);
  if (phase === "idle") void record();
  else if (work instanceof Recording && phase === "recording") void work.stop();
  else if (phase !== "finishing") work?.end();
});

chooseButton.addEventListener("click", () => {
  if (phase === "idle") fileInput.click();
});

fileInput.addEventListener("change", () => {
  const file = fileInput.files?.[0];
  fileInput.value = "";
  if (file) void sendFile(file);
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.toggle("dropping", phase === "idle");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const file = event.dataTransfer?.files[0];
  if (file) void sendFile(file);
});

element("reconnect").addEventListener("click", () => void connection.connect());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void connection.connect();
});

const copyButton = element("copy");
copyButton.hidden = !navigator.clipboard;
copyButton.addEventListener("click", async () => {
  await navigator.clipboard.writeText(transcript.toText());
  copyButton.textContent = "Copied";
  setTimeout(() => (copyButton.textContent = "Copy"), COPIED_SHOWN_MS);
});
element("download-txt").addEventListener("click", () => saveText("transcript.txt", transcript.toText()));
element("download-srt").addEventListener("click", () => saveText("transcript.srt", transcript.toSrt()));
element("clear").addEventListener("click", () => {
  transcript.clear();
  recordButton.focus();
});

void connection.connect();
