/**
 * What a live session is resumed with: its tokens, its last event, and what the server lacks. Knows no connection, no
 * clock and no page.
 */

import { Outbox } from "./outbox.js";

/** Of a server whose `ready` does not tell it. */
const RESUME_TIMEOUT_S = 30;

export class Resumption {
  outbox = new Outbox();
  /** @type {Record<string, any> | null} the message that began the session */
  start = null;
  /** @type {Record<string, any> | null} the answer to it */
  ready = null;
  /** Of the last event that came. */
  seq = 0;
  /** Whether the user has said that no more audio comes. */
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
   * The server has answered the greeting: what it lacks is sent again.
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
   * @returns {boolean} false where it has come before, over another connection
   */
  isNews(event) {
    if (event.seq === undefined) return true;
    if (event.seq <= this.seq) return false;
    this.seq = event.seq;
    return true;
  }

  /**
   * Whether nothing has come of the session and all of its audio is still here. The server does not keep a session that
   * was lost before any audio came, and nothing is lost with it.
   */
  get isWhole() {
    return this.ready !== null && this.seq <= this.ready.seq && this.outbox.isWhole;
  }

  /** The session is gone: the next greeting starts another. */
  startOver() {
    this.ready = null;
  }
}
