/**
 * What a live session has to say, kept until the server has it: audio and control messages in one line.
 *
 * What was sent stays until the server says that its audio is safe; after a loss the line is taken up again from
 * there. The server counts samples at 16 kHz, whatever is sent. Sends nothing itself.
 */

/**
 * Audio kept that the server has not confirmed, or the time in which a session can be resumed if that is longer. With as
 * much the outbox is full, until half of it is confirmed.
 */
export const KEEP_S = 30;
const SERVER_RATE_HZ = 16000;
const SAMPLE_BYTES = 2;

/**
 * @typedef {Record<string, unknown> & {number: number}} Control a control message: with its number the server obeys it
 *   once, however often it is sent
 * @typedef {{startBytes: number, content: ArrayBuffer | Control}} Item with the bytes of audio before it
 */

export class Outbox {
  /** Of the audio, in Hz. Until it is known: the highest that the server takes. */
  sampleRate = 48000;
  /** Whether audio is not taken in. */
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

  /** Whether all audio that was ever taken in is still here. */
  get isWhole() {
    return this.keptBytes === this.endBytes;
  }

  /** @param {number} resumeTimeoutS a session can be resumed for so long: the audio of that time finds room */
  keepFor(resumeTimeoutS) {
    this.keepS = Math.max(KEEP_S, resumeTimeoutS);
  }

  /**
   * @param {ArrayBuffer} pcm
   * @returns {boolean} whether it was taken in
   */
  put(pcm) {
    this.measure();
    if (this.isFull) return false;
    if (this.isClosed) return true;
    this.unsent.push({ startBytes: this.endBytes, content: pcm });
    this.endBytes += pcm.byteLength;
    return true;
  }

  /** @param {Record<string, unknown>} message takes its place behind all audio so far */
  putControl(message) {
    if (this.isClosed) return;
    this.unsent.push({ startBytes: this.endBytes, content: { ...message, number: ++this.numbers } });
  }

  /** @returns {(ArrayBuffer | Control)[]} what is to be sent now */
  takeUnsent() {
    const items = this.unsent;
    this.unsent = [];
    for (const item of items) this.sent.push(item);
    return items.map(({ content }) => content);
  }

  /**
   * The server has all audio before this position, and so each control message that stands before its end.
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
   * Everything that the server does not have is to be sent again.
   *
   * @param {number} receivedSamples at 16 kHz
   * @param {number} number of the last control message that the server has
   * @returns {boolean} false where that is audio which is kept no more
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

  /** Nothing in it is of use any more, and what is put is dropped. */
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
   * @returns {number} bytes: where the sample of this audio begins in which that place lies
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
