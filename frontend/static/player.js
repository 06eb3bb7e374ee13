/** Plays the audio of a document, with a waveform to move in. */

import { clock } from "./clock.js";
import { PEAK_S } from "./transcript-document.js";
import { drawPeaks } from "./waveform.js";

export class Player {
  /**
   * @param {HTMLElement} root with an `audio`, a `canvas`, an `input[type=range]`, a `button`, a `select` and a `.time`
   * @param {{onTime: (seconds: number | null) => void, onSeek: () => void, onRate: (rate: number) => void}} handlers
   *   `onTime` has null as long as nothing is played
   */
  constructor(root, handlers) {
    this.root = root;
    this.handlers = handlers;
    this.audio = /** @type {HTMLAudioElement} */ (root.querySelector("audio"));
    this.canvas = /** @type {HTMLCanvasElement} */ (root.querySelector("canvas"));
    this.slider = /** @type {HTMLInputElement} */ (root.querySelector("input[type=range]"));
    this.button = /** @type {HTMLButtonElement} */ (root.querySelector("button"));
    this.speed = /** @type {HTMLSelectElement} */ (root.querySelector("select"));
    this.shown = /** @type {HTMLElement} */ (root.querySelector(".time"));
    /** @type {number[]} */
    this.peaks = [];
    this.durationS = 0;
    this.button.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    this.speed.addEventListener("change", () => this.setRate(Number(this.speed.value)));
    for (const type of ["play", "pause", "ended"]) this.audio.addEventListener(type, () => this.changed());
    for (const type of ["timeupdate", "seeked"]) this.audio.addEventListener(type, () => this.tell());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /**
   * @param {Blob | null} blob null hides the player
   * @param {{durationS: number, peaks: number[]}} saved
   */
  load(blob, { durationS, peaks }) {
    if (this.audio.src) URL.revokeObjectURL(this.audio.src);
    this.root.hidden = !blob;
    this.peaks = peaks;
    this.durationS = durationS;
    this.slider.max = String(durationS);
    this.slider.value = "0";
    if (blob) this.audio.src = URL.createObjectURL(blob);
    else this.unload();
    this.audio.playbackRate = Number(this.speed.value);
    this.changed();
    this.tell();
  }

  /** Without `load`, an element whose source is gone continues to play it. */
  unload() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  get isLoaded() {
    return !this.root.hidden;
  }

  /** @param {number} rate */
  setRate(rate) {
    this.speed.value = String(rate);
    this.audio.playbackRate = Number(this.speed.value) || 1;
    this.handlers.onRate(this.audio.playbackRate);
  }

  /** @param {number} seconds */
  seek(seconds) {
    if (!this.isLoaded) return;
    this.audio.currentTime = Math.max(0, Math.min(this.durationS, seconds));
    this.handlers.onSeek();
  }

  /** @param {number} seconds forward, or back if negative */
  skip(seconds) {
    this.seek(this.audio.currentTime + seconds);
  }

  async toggle() {
    if (!this.isLoaded) return;
    if (this.audio.paused) await this.audio.play().catch(() => this.changed());
    else this.audio.pause();
  }

  changed() {
    const name = this.audio.paused ? "Play" : "Pause";
    this.button.textContent = this.audio.paused ? "▶" : "❚❚";
    this.button.setAttribute("aria-label", name);
    if (!this.audio.paused) this.follow();
  }

  /** Tells the time of each frame: `timeupdate` comes four times a second, which is too rare for words. */
  follow() {
    this.tell();
    if (!this.audio.paused) requestAnimationFrame(() => this.follow());
  }

  tell() {
    const seconds = this.audio.currentTime;
    this.slider.value = String(seconds);
    const text = `${clock(seconds)} / ${clock(this.durationS)}`;
    if (this.shown.textContent !== text) {
      this.shown.textContent = text;
      this.slider.setAttribute("aria-valuetext", clock(seconds));
    }
    this.draw();
    this.handlers.onTime(this.audio.paused && seconds === 0 ? null : seconds);
  }

  draw() {
    if (this.isLoaded) drawPeaks(this.canvas, this.peaks, this.audio.currentTime / PEAK_S);
  }
}
