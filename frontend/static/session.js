/** One piece of work on a connection: a live session, or a whole file asked about at once. */

/** The most that is handed to the network ahead of it, in bytes. */
const BUFFER_LIMIT_BYTES = 256 * 1024;
const BUFFER_POLL_MS = 20;

/** @typedef {import("./connection.js").Connection} Connection */

/**
 * @typedef {object} WorkHandlers
 * @property {(event: Record<string, any>) => void} onEvent any event of the work but its end
 * @property {() => void} onDone everything has come
 * @property {(error: Record<string, any>) => void} onError the work is over, and why: an error message of the server
 */

export class LiveSession {
  /**
   * @param {Connection} connection an open one
   * @param {WorkHandlers} handlers
   */
  constructor(connection, handlers) {
    this.connection = connection;
    this.handlers = handlers;
    this.started = false;
    /** @type {string | null} given with `ready` */
    this.id = null;
    this.over = false;
    this.stopAsked = false;
    /** @type {ArrayBuffer[]} what was recorded before the server was ready */
    this.early = [];
  }

  /** @param {Record<string, unknown>} options fields of the `start` message */
  start(options) {
    this.started = true;
    this.connection.send({ type: "start", encoding: "pcm_s16le", ...options });
  }

  /** @param {ArrayBuffer} pcm */
  write(pcm) {
    if (this.over) return;
    if (this.id) this.connection.sendAudio(pcm);
    else this.early.push(pcm);
  }

  /** Resolves when the network has room again; at once after the end. */
  async room() {
    while (!this.over && (!this.id || this.connection.bufferedBytes > BUFFER_LIMIT_BYTES)) {
      await new Promise((resolve) => setTimeout(resolve, BUFFER_POLL_MS));
    }
  }

  /** No more audio; the remaining text still comes. */
  stop() {
    this.stopAsked = true;
    if (this.id && !this.over) this.connection.send({ type: "stop" });
  }

  /** Drops everything at once. */
  cancel() {
    if (this.started && !this.over && this.connection.isOpen) {
      if (this.id) this.connection.send({ type: "cancel" });
      else this.connection.reopen();
    }
    this.over = true;
  }

  /** @param {Record<string, any>} message */
  receive(message) {
    const foreign = this.id && message.session_id && message.session_id !== this.id;
    if (this.over || foreign) return;
    if (message.type === "error") {
      this.over = true;
      this.handlers.onError(message);
    } else if (message.type === "done") {
      this.over = true;
      this.handlers.onDone();
    } else {
      if (message.type === "ready") this.begin(message.session_id);
      this.handlers.onEvent(message);
    }
  }

  /** @param {string} id */
  begin(id) {
    this.id = id;
    for (const pcm of this.early) this.connection.sendAudio(pcm);
    this.early = [];
    if (this.stopAsked) this.connection.send({ type: "stop" });
  }
}

/** A file that the server decodes and answers as one. */
export class FileRequest {
  /**
   * @param {Connection} connection an open one
   * @param {WorkHandlers} handlers
   */
  constructor(connection, handlers) {
    this.connection = connection;
    this.handlers = handlers;
    this.started = false;
    this.id = crypto.getRandomValues(new Uint32Array(2)).join("-");
    this.over = false;
  }

  /**
   * @param {string} base64 the file
   * @param {Record<string, unknown>} options fields of the `audio` message
   */
  start(base64, options) {
    this.started = true;
    this.connection.send({ type: "audio", id: this.id, audio_data: base64, stream: true, ...options });
  }

  /** Nobody waits for the answer any more, so the server need not go on either. */
  cancel() {
    if (this.started && !this.over && this.connection.isOpen) this.connection.reopen();
    this.over = true;
  }

  /** @param {Record<string, any>} message */
  receive(message) {
    if (this.over || message.id !== this.id) return;
    if (message.type === "error") {
      this.over = true;
      this.handlers.onError(message);
      return;
    }
    this.handlers.onEvent(message);
    if (message.type === "response") {
      this.over = true;
      this.handlers.onDone();
    }
  }
}
