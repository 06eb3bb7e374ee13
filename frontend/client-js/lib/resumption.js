/**
 * The data that resumes a live session: its tokens, last event, and what the server lacks. Does no I/O, has no clock and
 * knows nothing of the page.
 */

import { Outbox } from "./outbox.js";

/** For a server whose `ready` does not have it. */
const RESUME_TIMEOUT_S = 30;

export class Resumption {
  outbox = new Outbox();
  /** @type {Record<string, any> | null} the message that started the session */
  start = null;
  /** @type {Record<string, any> | null} the answer to it */
  ready = null;
  /** `seq` of the last event received. */
  seq = 0;
  /** Whether the user has stopped the session: no more audio follows. */
  isStopped = false;
  /** How long the server keeps the session. */
  resumeTimeoutS = RESUME_TIMEOUT_S;

  /** @param {Record<string, any>} options fields of the `start` message */
  begin(options) {
    this.start = { type: "start", encoding: "pcm_s16le", acknowledge: true, ...options };
    this.outbox.sampleRate = this.start.sample_rate;
  }

  /** The first message of a connection. */
  get greeting() {
    const start = /** @type {Record<string, any>} */ (this.start);
    if (!this.ready) return start;
    return {
      type: "resume",
      session_id: this.ready.session_id,
      resume_token: this.ready.resume_token,
      seq: this.seq,
      encoding: start.encoding,
      sample_rate: start.sample_rate,
      acknowledge: true,
    };
  }

  /**
   * Handles the server's answer to the greeting: queues again what it lacks.
   *
   * @param {Record<string, any>} ready
   * @returns {import("./resume-rules.js").SessionEvent}
   */
  answered(ready) {
    if (!this.ready) {
      this.ready = ready;
      this.seq = ready.seq;
    }
    this.resumeTimeoutS = ready.resume_timeout_s ?? RESUME_TIMEOUT_S;
    this.outbox.keepFor(this.resumeTimeoutS);
    if (ready.ended) {
      this.outbox.close();
      return this.isStopped ? "ready_ended" : "ready_cut";
    }
    return this.outbox.rewind(ready.audio_received_samples ?? 0, ready.number ?? 0) ? "ready" : "ready_forgotten";
  }

  /**
   * @param {Record<string, any>} event
   * @returns {boolean} false if it has already arrived, over another connection
   */
  isNews(event) {
    if (event.seq === undefined) return true;
    if (event.seq <= this.seq) return false;
    this.seq = event.seq;
    return true;
  }

  /**
   * Whether the session has produced no event and all of its audio is still here. The server does not keep a session that
   * was lost before any audio arrived, and nothing is lost with it.
   */
  get isWhole() {
    return this.ready !== null && this.seq <= this.ready.seq && this.outbox.isWhole;
  }

  /** Drops the session that is gone: the next greeting starts another one. */
  startOver() {
    this.ready = null;
  }
}
