/** The work of the page: records speech, or sends a file. Each is one `Work` that starts, reports events and ends. */

import { decodeFile, toBase64 } from "./files.js";
import { Recorder } from "./recorder.js";
import { FileRequest, LiveSession } from "./session.js";
import * as wording from "./wording.js";

/** How long the server may be silent after the last audio before the work is given up. */
const SILENCE_LIMIT_MS = 30000;
/** Half a second: a file need not be sent in the small pieces of a live recording. */
const FILE_PIECES_PER_SECOND = 2;

/**
 * @typedef {"starting" | "recording" | "finishing" | "file"} Phase
 * @typedef {{message: string, retryAfter?: number}} Trouble `retryAfter` in seconds: a retry may succeed then
 * @typedef {{sampleRate: number, chunkSize: number, maxFileBytes: number}} AudioLimits
 * @typedef {{mode: string, language: string | null, prompt: string | null}} Options
 *
 * @typedef {object} WorkObserver
 * @property {(phase: Phase) => void} onPhase
 * @property {(event: Record<string, any>) => void} onEvent
 * @property {(trouble?: Trouble) => void} onEnd called once
 * @property {(isLost: boolean) => void} onReconnecting whether the connection was lost and is being replaced
 * @property {(isPaused: boolean) => void} onPaused whether a recording is paused, because the server accepts no more
 * @property {(peak: number) => void} onLevel of a recording
 * @property {(fraction: number) => void} onProgress of a file
 */

class Work {
  /**
   * @param {import("./connection.js").Connection} connection
   * @param {AudioLimits} limits
   * @param {Options} options
   * @param {WorkObserver} observer
   */
  constructor(connection, limits, options, observer) {
    this.connection = connection;
    this.limits = limits;
    this.options = options;
    this.observer = observer;
    this.over = false;
    this.silenceTimer = 0;
    this.session = this.newSession(LiveSession);
  }

  /**
   * @template {LiveSession | FileRequest} T
   * @param {new (connection: any, handlers: import("./session.js").WorkHandlers) => T} kind
   */
  newSession(kind) {
    return new kind(this.connection, {
      onEvent: (event) => this.tell(event),
      onDone: () => this.end(),
      onError: (message, retryAfter) => this.end({ message, retryAfter }),
      onReconnecting: (isLost) => this.reconnecting(isLost),
    });
  }

  /** @param {Record<string, any>} message */
  receive(message) {
    this.session.receive(message);
  }

  /** @param {Record<string, any>} event */
  tell(event) {
    if (this.silenceTimer) this.expectAnswer();
    this.observer.onEvent(event);
  }

  /** From now on an answer of the server is expected. */
  expectAnswer() {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(() => this.end({ message: wording.NO_ANSWER }), SILENCE_LIMIT_MS);
  }

  /** The connection has ended. */
  lost() {
    this.session.lost();
  }

  /** @param {boolean} isLost whether the session has no connection and waits for a new one */
  reconnecting(isLost) {
    if (this.silenceTimer && isLost) clearTimeout(this.silenceTimer);
    else if (this.silenceTimer) this.expectAnswer();
    this.observer.onReconnecting(isLost);
  }

  /** @param {Trouble} [trouble] why it ends, if it failed */
  end(trouble) {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.silenceTimer);
    this.session.cancel();
    this.release();
    this.observer.onEnd(trouble);
  }

  /** Frees the resources of this kind of work. */
  release() {}
}

export class Recording extends Work {
  /** @type {Recorder | null} */
  recorder = null;
  isPaused = false;

  async start() {
    this.observer.onPhase("starting");
    const opened = this.connection.whenOpen();
    try {
      this.recorder = await Recorder.start(this.limits, {
        onChunk: (pcm) => this.take(pcm),
        onLevel: (peak) => this.observer.onLevel(this.isPaused ? 0 : peak),
        onLost: () => this.microphoneLost(),
      });
    } catch (error) {
      return this.end({ message: wording.microphoneTrouble(error), retryAfter: 0 });
    }
    if (this.over) return this.release();
    if (!(await opened)) return this.end({ message: wording.NOT_CONNECTED, retryAfter: 0 });
    if (this.over) return;
    this.session.start({ sample_rate: this.recorder.sampleRate, ...this.options });
    this.observer.onPhase("recording");
  }

  /** @param {ArrayBuffer} pcm */
  take(pcm) {
    const isPaused = !this.session.write(pcm);
    if (isPaused === this.isPaused || this.over) return;
    this.isPaused = isPaused;
    this.observer.onPaused(isPaused);
  }

  /** No more audio follows; the audio so far is still transcribed. */
  async stop() {
    this.observer.onPhase("finishing");
    await this.release();
    this.session.stop();
    this.expectAnswer();
  }

  async microphoneLost() {
    await this.stop();
    this.observer.onEvent({ type: "warning", message: wording.MICROPHONE_LOST });
  }

  async release() {
    const recorder = this.recorder;
    this.recorder = null;
    await recorder?.stop();
  }
}

export class FileWork extends Work {
  /** @type {FileRequest | null} used instead of the session for a file that is sent whole */
  request = null;
  /** Length of the audio in seconds; 0 until it is known. */
  duration = 0;

  /** @param {File} file */
  async start(file) {
    this.observer.onPhase("file");
    if (!(await this.connection.whenOpen())) return this.end({ message: wording.NOT_CONNECTED, retryAfter: 0 });
    // Questions are about a whole recording; a transcription can start while the file is sent.
    const pcm = this.options.mode === "transcribe" ? await decodeFile(file, this.limits.sampleRate) : null;
    if (this.over) return;
    if (pcm) await this.sendSamples(pcm);
    else await this.sendWhole(file);
  }

  /** @param {Int16Array} pcm */
  async sendSamples(pcm) {
    const { sampleRate } = this.limits;
    this.duration = pcm.length / sampleRate;
    this.session.start({ sample_rate: sampleRate, ...this.options });
    const pieceSamples = Math.ceil(sampleRate / FILE_PIECES_PER_SECOND);
    for (let sent = 0; sent < pcm.length && !this.over; sent += pieceSamples) {
      this.session.write(pcm.slice(sent, sent + pieceSamples).buffer);
      await this.session.room();
    }
    if (this.over) return;
    this.session.stop();
    this.expectAnswer();
  }

  /** @param {File} file */
  async sendWhole(file) {
    if (file.size > this.limits.maxFileBytes) {
      const limit = wording.megabytes(this.limits.maxFileBytes);
      return this.end({ message: `The file has ${wording.megabytes(file.size)}; the limit is ${limit}.` });
    }
    try {
      const base64 = await toBase64(file);
      if (this.over) return;
      this.request = this.newSession(FileRequest);
      this.request.start(base64, this.options);
    } catch {
      this.end({ message: "The file could not be read.", retryAfter: 0 });
    }
  }

  /** @param {Record<string, any>} message */
  receive(message) {
    (this.request ?? this.session).receive(message);
  }

  lost() {
    (this.request ?? this.session).lost();
  }

  release() {
    this.request?.cancel();
  }

  /** @param {Record<string, any>} event */
  tell(event) {
    if (this.duration && event.end) this.observer.onProgress(Math.min(1, event.end / this.duration));
    super.tell(event);
  }
}
