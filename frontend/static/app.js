/** The page: connects the server, the job in progress, the documents and the controls. */

import { Activity } from "./activity.js";
import { AudioLog } from "./audio-log.js";
import { acceptDrops } from "./drops.js";
import { DECODE_LIMIT_BYTES } from "./files.js";
import { isRejection } from "./file-transcription.js";
import { element, input } from "./elements.js";
import { Connection } from "./lib/connection.js";
import { Keeper } from "./keeper.js";
import { KeyForm } from "./key.js";
import { Jobs } from "./jobs.js";
import { offerMicrophones } from "./microphones.js";
import { Notice } from "./notice.js";
import { prepareOffline } from "./offline.js";
import { OptionsForm } from "./options.js";
import { togglePanel } from "./panels.js";
import { Settings } from "./settings.js";
import { share } from "./share.js";
import { install } from "./shortcuts.js";
import { Storage } from "./storage.js";
import { webSocketUrl } from "./socket-address.js";
import { Toolbar } from "./toolbar.js";
import * as wording from "./wording.js";
import { Workspace } from "./workspace.js";

const MODEL_POLL_MS = 3000;
const CONFIG_LIMIT_MS = 10000;
const LINK_TEXTS = {
  connecting: "Connecting…",
  open: "Connected",
  waiting: "Not connected, retrying…",
  asleep: "Idle, connects when needed",
  locked: "A key is required",
  resuming: "Reconnecting…",
};

const recordButton = element("record");
const fileInput = input("file");
const bound = /** @type {HTMLSelectElement} */ (element("bound"));

/** @type {import("./job.js").AudioLimits} */
let limits = { sampleRate: 16000, chunkSize: 1024, maxFileBytes: Infinity };
let modelReady = false;
/** @type {import("./lib/connection.js").LinkState} */
let linkState = "connecting";
/** Whether the job has lost its connection and has no new one yet. */
let isReconnecting = false;
/** The message about it. */
let shownLoss = "";
/** What “Try again” does. @type {() => void} */
let again = record;
/** What repeats the job of a document. @type {WeakMap<import("./transcript-document.js").TranscriptDocument, () => void>} */
const repeats = new WeakMap();

const settings = new Settings();
const options = new OptionsForm(/** @type {HTMLFormElement} */ (element("options")), settings);
const notice = new Notice(element("notice"), recordButton, () => again());
const storage = await Storage.open().catch(() => null);
if (storage) storage.onDeleted = audioDeleted;
const keeper = new Keeper(storage, () => notice.show(wording.NOT_STORED));
const keyForm = new KeyForm(/** @type {HTMLFormElement} */ (element("key-form")), () => void connection.connect());
const connection = new Connection(
  findUrl,
  () => keyForm.key,
  {
    onState: showLink,
    onMessage: (message) => {
      jobs.receive(message);
      if (message.code === "unauthorized") showLoss(message.message);
    },
    onLost: () => jobs.lost(),
  },
  { isIdle: () => document.hidden },
);
const jobs = new Jobs(
  { connection, keeper, limits: () => limits },
  {
    onPhase: showPhase,
    onEvent: showEvent,
    onEnd: ended,
    onReconnecting: (isLost, trouble) => {
      isReconnecting = isLost;
      showLink(linkState);
      activity.showLost(isLost);
      if (!jobs.isRecording) return;
      if (trouble) showLoss(trouble.code ? `${trouble.message} ${wording.CONTINUES}` : wording.OFFLINE);
      else if (!isLost) notice.withdraw(shownLoss);
      workspace.draw();
    },
    onLevel: (peak) => activity.showLevel(peak),
    onProgress: (fraction) => activity.showProgress(fraction),
  },
);
const activity = new Activity(jobs);
const workspace = new Workspace(keeper, settings, jobs, () => toolbar.update());
const toolbar = new Toolbar(workspace, { onContinue: () => void continueRecording(), onAgain: () => void transcribeAgain() });

/** @param {import("./lib/connection.js").LinkState} state */
function showLink(state) {
  linkState = state;
  const link = element("link-state");
  const shown = isReconnecting && state !== "locked" ? "resuming" : state;
  // Set once, not at every attempt.
  const text = shown === "connecting" && connection.failures > 0 ? LINK_TEXTS.waiting : LINK_TEXTS[shown];
  if (link.textContent !== text) link.textContent = text;
  link.dataset.state = shown;
  element("reconnect").hidden = shown !== "waiting" && shown !== "asleep";
  if (state === "open" && keyForm.isShown) notice.withdraw(shownLoss);
  if (state !== "connecting") keyForm.show(state === "locked");
  if (state === "open") awaitModel();
}

/** @param {string} message is shown until the connection is there */
function showLoss(message) {
  shownLoss = message;
  notice.show(message);
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

/**
 * @param {import("./transcript-document.js").TranscriptDocument} changed
 * @param {Record<string, any>} event
 */
function showEvent(changed, event) {
  if (event.type === "warning" || event.type === "error") report(changed, event.message);
  if (event.type === "withdrawn") notice.withdraw(event.message);
  if (event.type === "ready") activity.offerCaptions(event);
  if (event.latency && jobs.isRecording) activity.showLatency(event.latency.total);
  if (workspace.open === changed) workspace.draw();
}

/**
 * @param {import("./transcript-document.js").TranscriptDocument} about
 * @param {string} message
 * @param {number} [retryAfter] seconds
 */
function report({ saved }, message, retryAfter) {
  if (saved.kind === "file") notice.add(`${saved.name}: ${message}`, retryAfter);
  else notice.show(message, retryAfter);
}

/**
 * @param {import("./transcript-document.js").TranscriptDocument} finished
 * @param {import("./job.js").Trouble} [trouble]
 */
function ended(finished, trouble) {
  if (!jobs.job) {
    isReconnecting = false;
    showLink(linkState);
  }
  const isLeft = finished.isUnused && (finished.saved.kind === "recording" || isRejection(trouble));
  const left = isLeft ? workspace.remove(finished) : workspace.release(finished);
  const released = left.catch(() => {}); // storage that fails does not keep it from being repeated
  if (!isLeft) void released.then(() => makeRoom(finished.saved.id));
  if (workspace.open === finished) workspace.draw();
  const repeat = isLeft && finished.saved.kind === "file" ? undefined : repeats.get(finished);
  repeats.delete(finished);
  if (!trouble?.message) return;
  const former = finished.saved.kind === "file" && notice.offersRetry ? again : null;
  again = () => {
    former?.();
    if (repeat) void released.then(repeat);
    else if (finished.saved.kind === "recording") record();
  };
  report(finished, trouble.message, trouble.retry_after_s);
}

/** @param {string} [exceptId] a document that has just got audio */
function makeRoom(exceptId) {
  storage?.makeRoom(exceptId).catch(() => {}); // it is made with the next audio
}

/** @param {import("./transcript-document.js").Saved} saved */
function audioDeleted({ name }) {
  notice.add(wording.audioDeleted(name));
  void workspace.refresh();
}

function beginJob() {
  notice.hide();
  activity.begin(limits.chunkSize / limits.sampleRate);
}

/** Whether the options are wrong, which a message says. */
function areWrong(mode = options.chosen.mode) {
  const trouble = options.troubleOf(mode);
  if (trouble) notice.show(trouble);
  return trouble !== "";
}

function record() {
  const { mode } = options.chosen;
  if (jobs.job || areWrong(mode)) return;
  beginJob();
  const made = workspace.create({ name: nameOfRecording(), kind: "recording", mode });
  jobs.record(made, options.chosen, { deviceId: settings.choices.deviceId });
  void workspace.show(made);
}

/** Records more into a document. */
async function continueRecording(target = workspace.open) {
  if (!target || jobs.job || areWrong(target.saved.mode)) return;
  if (!(await workspace.claim(target))) return notice.show(wording.CHANGED_ELSEWHERE);
  const log = storage && (await AudioLog.reopen(storage, target.saved.id, target.saved.peaks));
  if (!log || jobs.job) return workspace.release(target);
  beginJob();
  repeats.set(target, () => void continueRecording(target));
  jobs.record(target, options.chosenFor(target.saved.mode), { deviceId: settings.choices.deviceId, log });
  await workspace.show(target);
}

/**
 * Transcribes the audio of a document from its beginning.
 *
 * @param {import("./transcript-document.js").TranscriptDocument | null} target
 * @param {Blob | null} [given] its audio, which this browser may not have stored
 */
async function transcribeAgain(target = workspace.open, given = null) {
  const audio = given ?? (target && (await workspace.audioOf(target.saved.id)));
  if (!target || !audio || jobs.document === target || areWrong()) return;
  if (!(await workspace.claim(target))) return notice.show(wording.CHANGED_ELSEWHERE);
  target.startAgain();
  if (!jobs.job) notice.hide();
  startTranscription(target, audio);
  await workspace.show(target);
}

/** @param {Iterable<File>} files each becomes a document */
async function addFiles(files) {
  if (areWrong()) return;
  const limitBytes = Math.max(DECODE_LIMIT_BYTES, limits.maxFileBytes);
  if (!jobs.job) notice.hide();
  for (const file of files) {
    if (file.size > limitBytes) {
      notice.add(`${file.name}: ${wording.tooLarge(file.size, limitBytes)}`);
      continue;
    }
    const made = workspace.create({ name: file.name, kind: "file", mode: options.chosen.mode });
    const isStored = await store(made.saved.id, file);
    if (!jobs.job) await workspace.show(made);
    startTranscription(made, file);
    if (!isStored) notice.add(wording.NOT_STORED);
  }
  await workspace.refresh();
}

/**
 * @param {string} id of its document
 * @param {File} file
 * @returns {Promise<boolean>} whether this browser keeps it
 */
async function store(id, file) {
  if (!storage || file.size > storage.boundBytes) return false;
  try {
    await storage.put({ id, index: 0, blob: file }, { bytes: file.size, sampleRate: 0 });
  } catch {
    return false;
  }
  return true;
}

/**
 * @param {import("./transcript-document.js").TranscriptDocument} target
 * @param {Blob} audio
 */
function startTranscription(target, audio) {
  if (!jobs.job) activity.begin(limits.chunkSize / limits.sampleRate);
  repeats.set(target, () => void transcribeAgain(target, audio));
  jobs.transcribe(target, options.chosen, audio);
}

function nameOfRecording() {
  return `Recording, ${new Intl.DateTimeFormat(undefined, { timeStyle: "short" }).format(Date.now())}`;
}

/** @param {import("./jobs.js").Phase} phase */
function showPhase(phase) {
  activity.show(phase);
  activity.showLost(isReconnecting);
  toolbar.update();
}

function pressRecord() {
  if (jobs.phase === "idle" && keyForm.isShown) keyForm.show(true);
  else if (jobs.phase === "idle") record();
  else if (jobs.phase === "recording") jobs.stop();
  else if (jobs.phase !== "finishing" || isReconnecting) jobs.cancel();
}

/** The key starts and stops recordings only: it neither cancels a file nor gives up the rest of a text. */
function pressRecordKey() {
  if (jobs.phase !== "file" && jobs.phase !== "finishing") pressRecord();
}

function pressPause() {
  if (jobs.phase !== "recording") return;
  jobs.pause(!jobs.isPaused);
  activity.showPaused();
}

recordButton.addEventListener("click", pressRecord);
element("pause").addEventListener("click", pressPause);
element("cancel-all").addEventListener("click", () => jobs.cancelAll());
element("choose-file").addEventListener("click", () => fileInput.click());
fileInput.addEventListener("change", () => {
  const files = [...(fileInput.files ?? [])];
  fileInput.value = "";
  void addFiles(files);
});
acceptDrops((files) => (files.length > 0 ? void addFiles(files) : notice.show(wording.ONLY_FILES)));
addEventListener("beforeunload", (event) => {
  if (jobs.phase !== "idle") event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  void connection.connect();
  void workspace.catchUp();
});
element("reconnect").addEventListener("click", () => void connection.connect());
element("share").addEventListener("click", () => share(/** @type {HTMLAnchorElement} */ (element("captions-link")).href));
offerMicrophones(/** @type {HTMLSelectElement} */ (element("microphone")), settings);
bound.value = String(settings.choices.boundMegabytes);
bound.addEventListener("change", () => setBound(Number(bound.value)));

/** @param {number} megabytes */
function setBound(megabytes) {
  settings.save({ boundMegabytes: megabytes });
  if (storage) storage.boundBytes = megabytes * 1e6;
  makeRoom();
}

install(
  [
    { key: "r", label: "R", what: "Start or stop recording", run: pressRecordKey },
    { key: "p", label: "P", what: "Pause or resume recording", run: pressPause },
    { key: " ", label: "Space", what: "Play or pause", run: () => void workspace.player.toggle() },
    { key: "ArrowLeft", label: "←", what: "Back 5 s", run: () => workspace.player.skip(-5) },
    { key: "ArrowRight", label: "→", what: "Forward 5 s", run: () => workspace.player.skip(5) },
    { key: "e", label: "E", what: "Edit the text", run: () => press("edit") },
    { key: "f", label: "F", what: "Find and replace", run: () => press("show-find") },
    { key: "/", label: "/", what: "Search all transcripts", run: focusSearch },
    { key: "o", label: "O", what: "Options", run: () => togglePanel("toggle-options") },
    { key: "z", label: "Ctrl Z", what: "Undo", run: () => toolbar.undo(), isPlain: false },
    { key: "y", label: "Ctrl Y", what: "Redo", run: () => toolbar.redo(), isPlain: false },
    { key: "?", label: "?", what: "This list", run: () => /** @type {HTMLDialogElement} */ (element("help")).showModal() },
  ],
  element("shortcuts"),
);

/** @param {string} id of an action on the open document */
function press(id) {
  if (workspace.open) element(id).click();
}

function focusSearch() {
  if (element("history").hidden) togglePanel("toggle-history");
  element("search").focus();
}

setBound(settings.choices.boundMegabytes);
void connection.connect();
await workspace.refresh();
void navigator.storage?.persist?.();
void prepareOffline();
