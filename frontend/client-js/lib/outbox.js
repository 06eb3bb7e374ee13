/**
 * The messages that a live session sends, kept until the server has them: audio and control messages in one queue.
 *
 * What was sent stays in it until the server reports that its audio is safe; after a loss, sending starts again from
 * there. The server counts samples at 16 kHz, whatever rate is sent. Sends nothing itself.
 */

/**
 * Audio kept that the server has not confirmed, or the time in which a session can be resumed if that is longer. At this
 * amount the outbox is full, until half of it is confirmed.
 */
export const KEEP_S = 30;
const SERVER_RATE_HZ = 16000;
const SAMPLE_BYTES = 2;

/**
 * @typedef {Record<string, unknown> & {number: number}} Control a control message: with its number the server executes it
 *   once, however often it is sent
 * @typedef {{startBytes: number, content: ArrayBuffer | Control}} Item with the bytes of audio before it
 */

export class Outbox {
  /** Of the audio, in Hz. Until it is known: the highest that the server accepts. */
  sampleRate = 48000;
  /** Whether it rejects audio. */
  isFull = false;
  /** @type {Item[]} */
  sent = [];
  /** @type {Item[]} */
  unsent = [];
  /** All audio so far. */
  endBytes = 0;
  numbers = 0;
  keepS = KEEP_S;
  isClosed = false;

  get keptBytes() {
    const first = this.sent[0] ?? this.unsent[0];
    return first ? this.endBytes - first.startBytes : 0;
  }

  /** Whether it still holds all audio that was ever added. */
  get isWhole() {
    return this.keptBytes === this.endBytes;
  }

  /** @param {number} resumeTimeoutS a session can be resumed within this time: makes room for as much audio */
  keepFor(resumeTimeoutS) {
    this.keepS = Math.max(KEEP_S, resumeTimeoutS);
  }

  /**
   * @param {ArrayBuffer} pcm
   * @returns {boolean} whether it was added
   */
  put(pcm) {
    this.measure();
    if (this.isFull) return false;
    if (this.isClosed) return true;
    this.unsent.push({ startBytes: this.endBytes, content: pcm });
    this.endBytes += pcm.byteLength;
    return true;
  }

  /** @param {Record<string, unknown>} message is queued after all audio so far */
  putControl(message) {
    if (this.isClosed) return;
    this.unsent.push({ startBytes: this.endBytes, content: { ...message, number: ++this.numbers } });
  }

  /** @returns {(ArrayBuffer | Control)[]} the content to send now */
  takeUnsent() {
    const items = this.unsent;
    this.unsent = [];
    for (const item of items) this.sent.push(item);
    return items.map(({ content }) => content);
  }

  /**
   * The server has all audio before this position, and so each control message sent before its end.
   *
   * @param {number} receivedSamples at 16 kHz
   */
  confirm(receivedSamples) {
    const safe = this.position(receivedSamples);
    const isKept = (/** @type {Item} */ item) => endOf(item) > safe || (isControl(item) && endOf(item) === safe);
    const first = this.sent.findIndex(isKept);
    this.sent.splice(0, first < 0 ? this.sent.length : first);
    this.measure();
  }

  /**
   * Queues again everything that the server does not have.
   *
   * @param {number} receivedSamples at 16 kHz
   * @param {number} number of the last control message that the server has
   * @returns {boolean} false if that includes audio that is no longer kept
   */
  rewind(receivedSamples, number) {
    const safe = Math.min(this.position(receivedSamples), this.endBytes);
    if (safe < this.endBytes - this.keptBytes) return false;
    this.unsent = [...this.sent, ...this.unsent].flatMap((item) => {
      const { startBytes, content } = item;
      if (!(content instanceof ArrayBuffer)) return content.number > number ? [item] : [];
      if (endOf(item) <= safe) return [];
      const cut = Math.max(0, safe - startBytes);
      return [{ startBytes: startBytes + cut, content: content.slice(cut) }];
    });
    this.sent = [];
    this.measure();
    return true;
  }

  /** Stops using the outbox: its content is dropped, and new content is ignored. */
  close() {
    this.isClosed = true;
    this.sent = [];
    this.unsent = [];
    this.measure();
  }

  measure() {
    const limitBytes = Math.floor(this.keepS * this.sampleRate) * SAMPLE_BYTES;
    this.isFull = this.keptBytes >= (this.isFull ? limitBytes / 2 : limitBytes);
  }

  /**
   * @param {number} samples at 16 kHz
   * @returns {number} bytes: the start of the sample of this audio that contains the position
   */
  position(samples) {
    return Math.floor((samples * this.sampleRate) / SERVER_RATE_HZ) * SAMPLE_BYTES;
  }
}

/** @param {Item} item */
function endOf({ startBytes, content }) {
  return startBytes + (content instanceof ArrayBuffer ? content.byteLength : 0);
}

/** @param {Item} item */
function isControl({ content }) {
  return !(content instanceof ArrayBuffer);
}
