/**
 * What it takes to go on with a live session over another connection: who it is, which event came last, and what the
 * server does not have yet. Knows no connection, no clock and no page.
 */

import { Outbox } from "./outbox.js";

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2000;

export class Resumption {
  outbox = new Outbox();
  /** @type {Record<string, any> | null} the message that began the session */
  start = null;
  /** @type {Record<string, any> | null} the answer to it */
  ready = null;
  /** Of the last event that came. */
  seq = 0;
  /** Whether the server has the end of the audio, or has put one to it. */
  ended = false;

  /** @param {Record<string, any>} options fields of the `start` message */
  begin(options) {
    this.start = { type: "start", encoding: "pcm_s16le", acknowledge: true, ...options };
    this.outbox.sampleRate = this.start.sample_rate;
  }

  /** What a connection is to be told first, for the session to be on it. */
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
   * @param {Record<string, any>} ready the answer to the greeting
   * @returns {boolean} whether the session can go on: false where the server lacks audio that is kept no more
   */
  greeted(ready) {
    if (!this.ready) {
      this.ready = ready;
      this.seq = ready.seq;
    }
    this.ended = ready.ended ?? false;
    if (!this.ended) return this.outbox.rewind(ready.audio_received_samples ?? 0, ready.number ?? 0);
    this.outbox.clear();
    return true;
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
   * A session that was lost before any audio came is not kept by the server, and nothing is lost with it.
   *
   * @returns {boolean} whether that is so, and the next greeting begins it anew
   */
  startOver() {
    if (!this.ready || this.seq > this.ready.seq || !this.outbox.isWhole) return false;
    this.ready = null;
    return true;
  }
}

/** Before the attempts to reconnect, without end. Somewhat random, so that many pages do not come at once. */
export function* pausesMs() {
  for (let longest = FIRST_PAUSE_MS; ; longest = Math.min(2 * longest, LONGEST_PAUSE_MS)) {
    yield longest * (0.75 + Math.random() / 4);
  }
}
