/** A recording or a file that is transcribed: one document, the session that fills it, and one end. */

import * as wording from "./wording.js";

/** How long the server may be silent after the last audio before the work is given up. */
const SILENCE_LIMIT_MS = 30000;

/** @typedef {import("./transcript-document.js").TranscriptDocument} TranscriptDocument */
/**
 * @typedef {"starting" | "recording" | "finishing" | "file"} Phase
 * @typedef {{message: string, code?: string, retry_after_s?: number}} Trouble
 * @typedef {{sampleRate: number, chunkSize: number, maxFileBytes: number}} AudioLimits
 *
 * @typedef {object} JobObserver
 * @property {(phase: Phase) => void} onPhase
 * @property {(event: Record<string, any>) => void} onEvent after it was applied to the document
 * @property {(trouble?: Trouble) => void} onEnd called once
 * @property {(isLost: boolean, trouble?: Trouble) => void} onReconnecting whether the server is being looked for
 * @property {(peak: number) => void} onLevel of a recording
 * @property {(fraction: number) => void} onProgress of a file
 */

/** @template {import("./lib/session.js").LiveSession | import("./lib/session.js").FileRequest} Session */
export class Job {
  silenceLimitMs = SILENCE_LIMIT_MS;

  /**
   * @param {TranscriptDocument} document
   * @param {object} parts
   * @param {import("./lib/connection.js").Connection} parts.connection
   * @param {AudioLimits} parts.limits
   * @param {Record<string, unknown>} parts.options fields of `start` or `audio`
   * @param {JobObserver} observer
   */
  constructor(document, { connection, limits, options }, observer) {
    this.document = document;
    this.connection = connection;
    this.limits = limits;
    this.options = options;
    this.observer = observer;
    this.isOver = false;
    this.isAnswerDue = false;
    /** Whether the session has no connection and waits for a new one. */
    this.isLost = false;
    this.silenceTimer = 0;
    /** @type {Session | null} */
    this.session = null;
  }

  /** @param {boolean} isDue whether the server has been sent all audio, so that the rest of the text must follow */
  expectAnswer(isDue) {
    this.isAnswerDue = isDue;
    this.hear();
  }

  /** The next event may take as long again. Without a connection, none can follow. */
  hear() {
    clearTimeout(this.silenceTimer);
    if (!this.isAnswerDue || this.isLost) return;
    this.silenceTimer = setTimeout(() => this.end({ message: wording.NO_ANSWER }), this.silenceLimitMs);
  }

  /** @param {boolean} isLost whether the session has no connection and waits for a new one */
  reconnecting(isLost) {
    this.isLost = isLost;
    this.hear();
    this.observer.onReconnecting(isLost);
  }

  /** @param {Record<string, any>} message of the connection */
  receive(message) {
    this.session?.receive(message);
  }

  /** The connection has ended. */
  lost() {
    this.session?.lost();
  }

  /** @param {Trouble} [trouble] why it ends, if it failed */
  end(trouble) {
    if (this.isOver) return;
    this.isOver = true;
    this.expectAnswer(false);
    this.session?.cancel();
    if (trouble) this.document.interrupt();
    else this.document.finish();
    this.observer.onEnd(trouble);
  }
}
