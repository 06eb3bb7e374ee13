/** One piece of work: a live session, over one connection or several, or a whole file asked about at once. */

import { pausesMs, Resumption } from "./resumption.js";
import { CONNECTION_LOST } from "./wording.js";

/** The most that is handed to the network ahead of it, in bytes. */
const BUFFER_LIMIT_BYTES = 256 * 1024;
const BUFFER_POLL_MS = 20;
/** How long a server keeps a session without its client. */
const RESUME_LIMIT_MS = 30000;
/** For the answer to a `resume`. */
const ATTEMPT_LIMIT_MS = 5000;
/** While audio comes the server confirms it twice a second; after so long without a word it is asked. */
const PROBE_AFTER_MS = 3000;
/** A server that says nothing for so long is gone. */
const DEAD_SERVER_MS = 10000;
const GONE = new Set(["session_unknown", "session_expired"]);

/** @typedef {import("./connection.js").Connection} Connection */

/**
 * @typedef {object} WorkHandlers
 * @property {(event: Record<string, any>) => void} onEvent any event of the work but its end
 * @property {() => void} onDone everything has come
 * @property {(message: string, retryAfter?: number) => void} onError the work is over, and why; trying again may help
 *   after so many seconds
 * @property {(isLost: boolean) => void} onReconnecting the connection was lost, and another one is looked for; or no more
 */

/** Goes on over another connection when its own is lost, for as long as the server keeps it. */
export class LiveSession {
  /**
   * @param {Connection} connection an open one
   * @param {WorkHandlers} handlers
   */
  constructor(connection, handlers) {
    this.connection = connection;
    this.handlers = handlers;
    this.memory = new Resumption();
    this.over = false;
    this.stopAsked = false;
    /** Whether the server takes audio over the present connection. */
    this.isLive = false;
    /** Whether the connection was lost, and the session is not on another one yet. */
    this.isLost = false;
    /** Whether the next connection is still to be had. */
    this.isConnecting = false;
    this.isProbed = false;
    /** A `resume` went out over a connection that broke: the server may obey it yet, behind the next one. */
    this.hasLateResume = false;
    this.pauses = pausesMs();
    this.deadlineTimer = 0;
    this.attemptTimer = 0;
  }

  get started() {
    return this.memory.start !== null;
  }

  /** @returns {string | null} given with `ready` */
  get id() {
    return this.memory.ready?.session_id ?? null;
  }

  /** @param {Record<string, unknown>} options fields of the `start` message */
  start(options) {
    this.memory.begin(options);
    this.connection.send(this.memory.greeting);
  }

  /**
   * @param {ArrayBuffer} pcm
   * @returns {boolean} whether it was taken: not while too much is here that the server does not have
   */
  write(pcm) {
    if (this.over) return true;
    const taken = this.memory.outbox.put(pcm);
    this.flush();
    if (this.isLive) this.probe();
    return taken;
  }

  /** Finds out whether the connection is dead and does not say so, as when a network has gone. */
  probe() {
    const { silentMs } = this.connection;
    if (silentMs < PROBE_AFTER_MS) {
      this.isProbed = false;
    } else if (!this.isProbed) {
      this.isProbed = true;
      this.connection.send({ type: "ping" });
    } else if (silentMs > DEAD_SERVER_MS && !this.memory.outbox.isFull) {
      // With a full outbox the server may be holding the brake, and answers nothing.
      this.connection.giveUp();
    }
  }

  flush() {
    if (!this.isLive || this.memory.ended) return;
    for (const content of this.memory.outbox.takeUnsent()) {
      if (content instanceof ArrayBuffer) this.connection.sendAudio(content);
      else this.connection.send(content);
    }
  }

  get hasRoom() {
    return this.isLive && !this.memory.outbox.isFull && this.connection.bufferedBytes <= BUFFER_LIMIT_BYTES;
  }

  /** Resolves when there is room for more audio; at once after the end. */
  async room() {
    while (!this.over && !this.hasRoom) await sleep(BUFFER_POLL_MS);
  }

  /** No more audio; the remaining text still comes. */
  stop() {
    if (this.over) return;
    this.stopAsked = true;
    this.memory.outbox.putControl({ type: "stop" });
    this.flush();
  }

  /** Drops everything at once. */
  cancel() {
    if (this.started && !this.over && this.connection.isOpen) {
      if (this.id) this.connection.send({ type: "cancel" });
      else this.connection.reopen();
    }
    this.close();
  }

  close() {
    this.over = true;
    this.found();
  }

  /** @param {Record<string, any>} message */
  receive(message) {
    const foreign = this.id && message.session_id && message.session_id !== this.id;
    if (this.over || foreign) return;
    if (message.type === "error") return this.refused(message);
    if (message.type === "ready") return this.begin(message);
    if (!this.isLive || !this.memory.isNews(message)) return;
    if (message.type === "received") {
      this.memory.outbox.confirm(message.audio_received_samples);
    } else if (message.type !== "done") {
      this.handlers.onEvent(message);
    } else if (this.memory.ended && !this.stopAsked) {
      this.fail(CONNECTION_LOST); // the server has not waited for the rest
    } else {
      this.close();
      this.handlers.onDone();
    }
  }

  /** @param {Record<string, any>} ready */
  begin(ready) {
    if (!this.memory.greeted(ready)) return this.fail(CONNECTION_LOST);
    this.isLive = true;
    this.found();
    this.handlers.onEvent(ready);
    this.flush();
  }

  /** @param {Record<string, any>} error */
  refused(error) {
    if (error.code === "session_resumed" && this.hasLateResume) {
      this.hasLateResume = false;
      this.connection.giveUp();
    } else if (!this.isLost || error.code === "unauthorized") {
      this.fail(error.message, error.retry_after_s);
    } else if (!GONE.has(error.code)) {
      this.connection.giveUp();
    } else if (this.memory.startOver()) {
      this.connection.send(this.memory.greeting);
    } else {
      this.fail(CONNECTION_LOST);
    }
  }

  /** The connection has ended. */
  lost() {
    if (this.over) return;
    if (!this.started) return this.fail(CONNECTION_LOST);
    this.isLive = false;
    clearTimeout(this.attemptTimer);
    if (this.isConnecting) return;
    if (this.isLost) this.hasLateResume = true;
    else this.search();
    void this.reconnect();
  }

  search() {
    this.isLost = true;
    this.pauses = pausesMs();
    this.deadlineTimer = setTimeout(() => this.giveUp(), RESUME_LIMIT_MS);
    this.handlers.onReconnecting(true);
  }

  async reconnect() {
    this.isConnecting = true;
    do {
      await sleep(/** @type {number} */ (this.pauses.next().value));
      if (this.over) return;
    } while (!(await this.connection.whenOpen()));
    this.isConnecting = false;
    if (this.over) return;
    this.connection.send(this.memory.greeting);
    this.attemptTimer = setTimeout(() => this.connection.giveUp(), ATTEMPT_LIMIT_MS);
  }

  found() {
    clearTimeout(this.deadlineTimer);
    clearTimeout(this.attemptTimer);
    if (!this.isLost) return;
    this.isLost = false;
    this.handlers.onReconnecting(false);
  }

  giveUp() {
    // Nothing may come of a `resume` that is still under way.
    if (!this.isConnecting) this.connection.reopen();
    this.fail(CONNECTION_LOST);
  }

  /**
   * @param {string} message
   * @param {number} [retryAfter] seconds
   */
  fail(message, retryAfter) {
    this.close();
    this.handlers.onError(message, retryAfter);
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
    this.connection.send({ type: "audio", id: this.id, audio_data: base64, encoding: "container", stream: true, ...options });
  }

  /** Nobody waits for the answer any more, so the server need not go on either. */
  cancel() {
    if (this.started && !this.over && this.connection.isOpen) this.connection.reopen();
    this.over = true;
  }

  /** The connection has ended, and the request with it. */
  lost() {
    this.over = true;
    this.handlers.onError(CONNECTION_LOST);
  }

  /** @param {Record<string, any>} message */
  receive(message) {
    if (this.over || message.id !== this.id) return;
    if (message.type === "error") {
      this.over = true;
      this.handlers.onError(message.message, message.retry_after_s);
      return;
    }
    this.handlers.onEvent(message);
    if (message.type === "response") {
      this.over = true;
      this.handlers.onDone();
    }
  }
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
