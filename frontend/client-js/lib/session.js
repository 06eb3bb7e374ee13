/** One piece of work: a live session, over one connection or several, or a whole file in one request. */

import { errorEvent, GREETING, Machine, OVER, pauseS, SERVING } from "./resume-rules.js";
import { Resumption } from "./resumption.js";

/** For the answer to a `resume`. */
const ATTEMPT_LIMIT_MS = 5000;
/** While audio arrives the server confirms it twice a second; after this long without a message the page sends a ping. */
const PROBE_AFTER_MS = 3000;
/** A server that has sent nothing for this long after the ping is considered dead. */
const PING_LIMIT_MS = 7000;

const CONNECTION_LOST = "The connection to the server was lost.";

/** @typedef {import("./connection.js").Connection} Connection */

/**
 * @typedef {object} WorkHandlers
 * @property {(event: Record<string, any>) => void} onEvent any event of the work except its end, and errors that do not end it
 * @property {() => void} onDone all events have arrived
 * @property {(error: {message: string, code?: string, retry_after_s?: number}) => void} onError the work has failed; without
 *   a code, because the connection was lost. Trying again may help after `retry_after_s`
 * @property {(isLost: boolean) => void} onReconnecting the connection was lost and the page looks for another one (true), or
 *   the search is over (false)
 */

/** Resumes over another connection when its own is lost: `resume-rules.js` has the rules, this file executes them. */
export class LiveSession {
  /**
   * @param {Connection} connection an open one
   * @param {WorkHandlers} handlers
   */
  constructor(connection, handlers) {
    this.connection = connection;
    this.handlers = handlers;
    this.memory = new Resumption();
    this.machine = new Machine();
    /** Attempts to reconnect since the connection was lost. */
    this.attempts = 0;
    this.probedAtMs = -Infinity;
    this.deadlineTimer = 0;
    this.attemptTimer = 0;
    /** @type {(() => void)[]} */
    this.waitingForRoom = [];
  }

  get isOver() {
    return OVER.has(this.machine.state);
  }

  get isServed() {
    return SERVING.has(this.machine.state);
  }

  /** @returns {string | null} given with `ready` */
  get id() {
    return this.memory.ready?.session_id ?? null;
  }

  /** @param {Record<string, unknown>} options fields of the `start` message */
  start(options) {
    this.memory.begin(options);
    this.happens("start");
  }

  /**
   * @param {ArrayBuffer} pcm
   * @returns {boolean} whether it was accepted: not while too much audio is here that the server does not have
   */
  write(pcm) {
    if (this.isOver) return true;
    const taken = this.memory.outbox.put(pcm);
    this.flush();
    if (this.isServed) this.probe();
    return taken;
  }

  /**
   * Writes audio as soon as there is room for it.
   *
   * @param {ArrayBuffer} pcm
   * @returns {Promise<void>} resolves when it was accepted; at once after the end
   */
  async send(pcm) {
    while (!this.write(pcm)) await this.room();
  }

  /** Detects a connection that is dead without a close event, for example after the network has gone. */
  probe() {
    const { silentMs, heardAtMs } = this.connection;
    if (silentMs < PROBE_AFTER_MS) return;
    const nowMs = performance.now();
    if (this.probedAtMs < heardAtMs) {
      this.probedAtMs = nowMs;
      this.connection.send({ type: "ping" });
    } else if (nowMs - this.probedAtMs > PING_LIMIT_MS && !this.memory.outbox.isFull) {
      // With a full outbox the server may have stopped reading, and then it answers nothing.
      this.happens("silent");
    }
  }

  flush() {
    if (!this.isServed) return;
    for (const content of this.memory.outbox.takeUnsent()) {
      if (content instanceof ArrayBuffer) this.connection.sendAudio(content);
      else this.connection.send(content);
    }
  }

  get hasRoom() {
    return this.isServed && !this.memory.outbox.isFull;
  }

  /**
   * Resolves when there is room for more audio; at once after the end.
   *
   * @returns {Promise<void>}
   */
  room() {
    return new Promise((resolve) => {
      this.waitingForRoom.push(resolve);
      this.offerRoom();
    });
  }

  offerRoom() {
    if (!this.isOver && !this.hasRoom) return;
    for (const resolve of this.waitingForRoom.splice(0)) resolve();
  }

  /** Makes the text of all audio so far final. */
  commit() {
    if (this.isOver) return;
    this.memory.outbox.putControl({ type: "commit" });
    this.flush();
  }

  /** Ends the audio; the remaining text still arrives. */
  stop() {
    if (this.isOver) return;
    this.memory.outbox.putControl({ type: "stop" });
    this.memory.isStopped = true;
    this.flush();
  }

  /** Drops everything at once. */
  cancel() {
    this.happens("left");
  }

  /** @param {Record<string, any>} message */
  receive(message) {
    const isForeign = this.id && message.session_id && message.session_id !== this.id;
    if (this.isOver || isForeign) return;
    if (message.type === "error") return this.refused(message);
    if (message.type === "ready") return this.answered(message);
    if (!this.isServed || !this.memory.isNews(message)) return;
    if (message.type === "received") {
      this.memory.outbox.confirm(message.audio_received_samples);
      this.offerRoom();
    } else if (message.type === "done") {
      this.happens("done");
    } else {
      this.handlers.onEvent(message);
    }
  }

  /** @param {Record<string, any>} ready */
  answered(ready) {
    if (!GREETING.has(this.machine.state)) return;
    this.happens(this.memory.answered(ready));
    if (this.isServed) this.handlers.onEvent(ready);
  }

  /** @param {Record<string, any>} error */
  refused(error) {
    const endsSession = error.seq !== undefined || error.code === "internal_error";
    const event = errorEvent(error.code, { endsSession, isWhole: this.memory.isWhole });
    // For the user, the server's answer to a `resume` means that the connection was lost.
    const isOfResume = GREETING.has(this.machine.state) && this.machine.state !== "starting";
    this.happens(event, isOfResume && event !== "final" ? undefined : error);
  }

  /** The connection has ended. */
  lost() {
    this.happens("lost");
  }

  /**
   * @param {import("./resume-rules.js").SessionEvent} event
   * @param {Record<string, any>} [error] the event's subject
   */
  happens(event, error = { message: CONNECTION_LOST }) {
    const wasServed = this.isServed;
    for (const action of this.machine.move(event)) this.carryOut(action, error, wasServed);
    this.offerRoom();
  }

  /**
   * @param {import("./resume-rules.js").Action} action
   * @param {Record<string, any>} error
   * @param {boolean} wasServed whether the server had answered
   */
  carryOut(action, error, wasServed) {
    if (action === "greet") this.greet();
    else if (action === "serve") this.flush();
    else if (action === "begin_search") this.beginSearch();
    else if (action === "reconnect") void this.reconnect();
    else if (action === "end_search") this.endSearch();
    else if (action === "start_over") this.memory.startOver();
    else if (action === "give_up") this.connection.giveUp();
    else if (action === "leave") this.leave(wasServed);
    else if (action === "report") this.handlers.onEvent(error);
    else if (action === "finish") this.handlers.onDone();
    else if (action === "fail") this.handlers.onError(/** @type {any} */ (error));
  }

  greet() {
    this.connection.send(this.memory.greeting);
    clearTimeout(this.attemptTimer);
    if (this.machine.state === "starting") return;
    this.attemptTimer = setTimeout(() => this.happens("silent"), ATTEMPT_LIMIT_MS);
  }

  beginSearch() {
    this.attempts = 0;
    this.deadlineTimer = setTimeout(() => this.happens("given_up"), this.memory.resumeTimeoutS * 1000);
    this.handlers.onReconnecting(true);
  }

  async reconnect() {
    clearTimeout(this.attemptTimer);
    do {
      await sleep(pauseS(this.attempts++, Math.random()) * 1000);
      if (this.isOver) return;
    } while (!(await this.connection.whenOpen()));
    this.happens("opened");
  }

  endSearch() {
    clearTimeout(this.deadlineTimer);
    clearTimeout(this.attemptTimer);
    this.handlers.onReconnecting(false);
  }

  /** @param {boolean} wasServed whether the server had answered: if not, closing the connection ends what it may still do */
  leave(wasServed) {
    if (!this.connection.isOpen) return;
    if (this.id) this.connection.send({ type: "cancel" });
    if (!wasServed) this.connection.reopen();
  }
}

/** A file that the server decodes and answers in one reply. */
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

  /** Cancels the request, so that the server stops work on it. */
  cancel() {
    if (this.started && !this.over && this.connection.isOpen) this.connection.reopen();
    this.over = true;
  }

  /** The connection has ended, and the request with it. */
  lost() {
    this.over = true;
    this.handlers.onError({ message: CONNECTION_LOST });
  }

  /** @param {Record<string, any>} message */
  receive(message) {
    if (this.over || message.id !== this.id) return;
    if (message.type === "error") {
      this.over = true;
      this.handlers.onError(/** @type {any} */ (message));
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
