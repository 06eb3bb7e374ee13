/** Shows what the page is doing: the record button, the time and level of a recording, the progress of a file. */

import { clock } from "./clock.js";
import { element } from "./elements.js";
import { LatencyWindow } from "./latency.js";
import { LevelHints } from "./level-hints.js";
import { PEAK_S } from "./transcript-document.js";
import { drawLatest } from "./waveform.js";

/** More than the widest screen shows. */
const DRAWN_S = 60;
const TITLE = document.title;
/** @type {Record<import("./jobs.js").Phase, string>} */
const RECORD_LABELS = {
  idle: "Start recording",
  starting: "Cancel",
  recording: "Stop",
  finishing: "Finishing…",
  file: "Cancel",
};

export class Activity {
  /** @param {import("./jobs.js").Jobs} jobs */
  constructor(jobs) {
    this.jobs = jobs;
    this.progress = /** @type {HTMLProgressElement} */ (element("progress"));
    this.wave = /** @type {HTMLCanvasElement} */ (element("wave"));
    this.latencies = new LatencyWindow();
    this.hints = new LevelHints(1);
  }

  /** @param {number} chunkS the time of one level */
  begin(chunkS) {
    this.latencies = new LatencyWindow();
    this.hints = new LevelHints(chunkS);
    element("latency").hidden = element("captions-link").hidden = element("share").hidden = true;
  }

  /** @param {import("./jobs.js").Phase} phase */
  show(phase) {
    const record = element("record");
    record.dataset.work = phase;
    record.setAttribute("aria-disabled", String(phase === "finishing"));
    element("record-label").textContent = RECORD_LABELS[phase];
    element("pause").hidden = phase !== "recording";
    document.body.classList.toggle("working", phase !== "idle");
    element("activity").hidden = phase !== "recording" && phase !== "file";
    this.wave.hidden = element("level-hint").hidden = phase !== "recording";
    element("level-hint").textContent = "";
    this.progress.hidden = phase !== "file";
    if (phase !== "file") this.progress.removeAttribute("value");
    const { place, total } = this.jobs.progress;
    element("cancel-all").hidden = phase !== "file" || place === total;
    const name = this.jobs.document?.saved.name ?? "";
    if (phase === "file") element("activity-text").textContent = total > 1 ? `${name}, ${place} of ${total}` : name;
    this.showPaused();
  }

  /** @param {boolean} isLost whether the server is being looked for: then the user need not wait for the rest of the text */
  showLost(isLost) {
    if (this.jobs.phase !== "finishing") return;
    element("record-label").textContent = isLost ? "Transcribe later" : RECORD_LABELS.finishing;
    element("record").setAttribute("aria-disabled", String(!isLost));
  }

  showPaused() {
    element("pause").textContent = this.jobs.isPaused ? "Resume" : "Pause";
    this.showElapsed();
  }

  showElapsed() {
    if (this.jobs.phase !== "recording") return void (document.title = TITLE);
    const elapsed = clock(this.jobs.recordedS);
    element("activity-text").textContent = elapsed;
    document.title = `${this.jobs.isPaused ? "❚❚" : "●"} ${elapsed} ${TITLE}`;
  }

  /** @param {number} peak 0 to 1 */
  showLevel(peak) {
    this.showElapsed();
    drawLatest(this.wave, (this.jobs.document?.saved.peaks ?? []).slice(-Math.ceil(DRAWN_S / PEAK_S)));
    if (this.jobs.isPaused) return;
    const hint = this.hints.add(peak);
    if (element("level-hint").textContent !== hint) element("level-hint").textContent = hint;
  }

  /** @param {number} fraction of a file that is transcribed */
  showProgress(fraction) {
    this.progress.value = fraction;
  }

  /** @param {number} ms */
  showLatency(ms) {
    this.latencies.add(ms);
    element("latency").hidden = false;
    element("latency-latest").textContent = `${Math.round(ms)} ms`;
    element("latency-median").textContent = `${Math.round(this.latencies.median)} ms`;
  }

  /**
   * Shows a link with which others can view the session. The part after `#` is not sent to any server.
   *
   * @param {Record<string, any>} ready
   */
  offerCaptions(ready) {
    const link = /** @type {HTMLAnchorElement} */ (element("captions-link"));
    link.href = `captions?session=${ready.session_id}#token=${ready.viewer_token}`;
    link.hidden = element("share").hidden = !this.jobs.isRecording;
  }
}
