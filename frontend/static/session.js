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
    this.ready = false;
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
    if (this.ready) this.connection.sendAudio(pcm);
    else this.early.push(pcm);
  }

  /** Resolves when the network has room again; at once after the end. */
  async room() {
    while (!this.over && (!this.ready || this.connection.bufferedBytes > BUFFER_LIMIT_BYTES)) {
      await new Promise((resolve) => setTimeout(resolve, BUFFER_POLL_MS));
    }
  }

  /** No more audio; the remaining text still comes. */
  stop() {
    this.stopAsked = true;
    if (this.ready && !this.over) this.connection.send({ type: "stop" });
  }

  /** Drops everything at once. */
  cancel() {
    if (this.started && !this.over && this.connection.isOpen) this.connection.send({ type: "cancel" });
    this.over = true;
  }

  /** @param {Record<string, any>} message */
  receive(message) {
    if (this.over) return;
    if (message.type === "error") {
      this.cancel();
      this.handlers.onError(message);
    } else if (message.type === "done") {
      this.over = true;
      this.handlers.onDone();
    } else {
      if (message.type === "ready") this.begin();
      this.handlers.onEvent(message);
    }
  }

  begin() {
    this.ready = true;
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
    this.id = crypto.getRandomValues(new Uint32Array(2)).join("-");
    this.over = false;
  }

  /**
   * @param {string} base64 the file
   * @param {Record<string, unknown>} options fields of the `audio` message
   */
  start(base64, options) {
    this.connection.send({ type: "audio", id: this.id, audio_data: base64, stream: true, ...options });
  }

  /** The server goes on, but its answer is not wanted any more. */
  cancel() {
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
