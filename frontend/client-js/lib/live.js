/** A live transcription: audio in, events out. Resumes by itself when the connection is lost. */

import { Connection } from "./connection.js";
import { NO_SERVICE, TranscriptionError } from "./errors.js";
import { LiveSession } from "./session.js";

/**
 * An event, with the fields that the native protocol documents: `type`, `seq`, `segment`, `text`, `start`, `end`, `words`, …
 *
 * @typedef {Record<string, any> & {type: string}} TranscriptionEvent
 */

/**
 * @typedef {object} LiveOptions fields of the `start` message (`language`, `sample_rate`, `model`, `numerals`, …), and:
 * @property {string} [key] the API key, if the service requires one
 * @property {typeof globalThis.WebSocket} [WebSocket] for runtimes that have none, such as Node 20
 * @property {number} [sample_rate] of the audio, in Hz (16000)
 */

export class LiveTranscription {
  /** @type {TranscriptionEvent[]} */
  #events = [];
  /** @type {(() => void)[]} */
  #waiting = [];
  #isOver = false;
  /** @type {TranscriptionError | null} */
  #error = null;
  /** @type {() => void} */
  #resolveEnded = () => {};
  /** Resolves when the session has ended, for whatever reason. @type {Promise<void>} */
  ended = new Promise((resolve) => (this.#resolveEnded = resolve));

  /**
   * Connects and starts a session.
   *
   * @param {string} url the address of the service: http(s)://host[:port] or ws(s)://host[:port]
   * @param {LiveOptions & Record<string, unknown>} [options]
   * @throws {TypeError} for a value that JSON cannot hold
   */
  constructor(url, { key, WebSocket = globalThis.WebSocket, sample_rate = 16000, ...options } = {}) {
    if (!WebSocket) throw new TypeError("This runtime has no WebSocket: pass one as the option `WebSocket`.");
    JSON.stringify(options); // throws here, where the caller sees it
    const address = socketUrl(url);
    const handlers = {
      onState: () => {},
      onMessage: (/** @type {Record<string, any>} */ message) => this.#receive(message),
      onLost: () => this.session.lost(),
    };
    this.connection = new Connection(async () => address, () => key ?? null, handlers, { WebSocket });
    this.session = new LiveSession(this.connection, {
      onEvent: (event) => this.#push(/** @type {TranscriptionEvent} */ (event)),
      onDone: () => this.#end(null),
      onError: (error) => this.#end(new TranscriptionError(error)),
      onReconnecting: () => {},
    });
    void this.#start({ sample_rate, ...options });
  }

  /** @param {Record<string, unknown>} options */
  async #start(options) {
    if (await this.connection.whenOpen()) this.session.start(options);
    else this.#end(new TranscriptionError({ message: NO_SERVICE }));
  }

  /** @param {Record<string, any>} message */
  #receive(message) {
    const isBeforeStart = this.session.machine.state === "idle"; // the key was rejected
    if (isBeforeStart && message.type === "error") this.#end(new TranscriptionError(/** @type {any} */ (message)));
    else this.session.receive(message);
  }

  /**
   * Sends audio. It waits while the service has not accepted the last 30 seconds.
   *
   * @param {ArrayBuffer | Int16Array} pcm s16le, mono, at `sample_rate`
   * @returns {Promise<void>}
   */
  async write(pcm) {
    const buffer = pcm instanceof ArrayBuffer ? pcm : /** @type {ArrayBuffer} */ (pcm.slice().buffer);
    await this.session.send(buffer);
  }

  /** Makes the text of all audio so far final. */
  commit() {
    this.session.commit();
  }

  /** Ends the audio. The remaining text still arrives. */
  stop() {
    this.session.stop();
  }

  /** Ends the session at once, without its remaining text. */
  close() {
    this.#end(null);
  }

  /** The events until the session ends. Throws TranscriptionError if it fails. */
  async *[Symbol.asyncIterator]() {
    for (;;) {
      while (this.#events.length > 0) yield /** @type {TranscriptionEvent} */ (this.#events.shift());
      if (this.#error) throw this.#error;
      if (this.#isOver) return;
      await new Promise((resolve) => this.#waiting.push(() => resolve(undefined)));
    }
  }

  /** @param {TranscriptionEvent} event */
  #push(event) {
    this.#events.push(event);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** @param {TranscriptionError | null} error */
  #end(error) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    this.session.cancel();
    this.connection.close();
    this.#resolveEnded();
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/**
 * @param {string} url http(s) or ws(s)
 * @returns {string} of the native protocol; the path of a ws(s) address is kept
 */
function socketUrl(url) {
  const address = new URL(url);
  if (address.protocol === "ws:" || address.protocol === "wss:") return address.href;
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  address.pathname = `${address.pathname.replace(/\/$/, "")}/ws`;
  return address.href;
}
