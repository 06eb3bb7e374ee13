/** The WebSocket to the server: opens, watches and reopens it. Knows nothing of sessions. */

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 15000;
/** Well below the server's idle timeout. */
const PING_INTERVAL_MS = 20000;
/** For the handshake, and the answer to the key. */
const OPEN_LIMIT_MS = 10000;
/** Close code of a socket whose session will be resumed. With 1000, 1001 or no code the server would end the session. */
const GIVEN_UP = 4000;
/** `readyState` of an open socket. */
const OPEN = 1;

/** @typedef {"connecting" | "open" | "waiting" | "asleep" | "locked"} LinkState */

/**
 * @typedef {object} ConnectionHandlers
 * @property {(state: LinkState) => void} onState
 * @property {(message: Record<string, any>) => void} onMessage
 * @property {() => void} onLost an open socket has ended
 */

export class Connection {
  /**
   * @param {() => Promise<string>} findUrl called before each attempt; rejects when the server does not answer
   * @param {() => string | null} findKey the key to send first: empty if none is known, null if none is needed
   * @param {ConnectionHandlers} handlers
   * @param {object} [environment]
   * @param {typeof globalThis.WebSocket} [environment.WebSocket] for runtimes that have none
   * @param {() => boolean} [environment.isIdle] whether the server may close a connection without a session, for example
   *   because nobody sees the page
   */
  constructor(findUrl, findKey, handlers, { WebSocket = globalThis.WebSocket, isIdle = () => false } = {}) {
    this.Socket = WebSocket;
    this.isIdle = isIdle;
    this.findUrl = findUrl;
    this.findKey = findKey;
    this.handlers = handlers;
    this.failures = 0;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.looking = false;
    this.retryTimer = 0;
    this.openTimer = 0;
    this.heardAtMs = 0;
    this.putToSleep = false;
    this.lockedOut = false;
    /** Whether it was ended for good. */
    this.isClosed = false;
    /** @type {((isOpen: boolean) => void)[]} */
    this.waiting = [];
    /** @type {(() => void)[]} */
    this.waitingForOpen = [];
    this.pingTimer = setInterval(() => this.ping(), PING_INTERVAL_MS);
  }

  get isOpen() {
    return this.socket?.readyState === OPEN;
  }

  /** Time since the last message from the server. */
  get silentMs() {
    return performance.now() - this.heardAtMs;
  }

  /** Opens the socket now, unless it is open or opening. */
  async connect() {
    clearTimeout(this.retryTimer);
    if (this.socket || this.looking || this.isClosed) return;
    this.looking = true;
    this.putToSleep = this.lockedOut = false;
    this.handlers.onState("connecting");
    try {
      const url = await this.findUrl();
      if (this.isClosed) return;
      this.lockedOut = this.findKey() === "";
      if (this.lockedOut) this.closed(false);
      else this.open(url);
    } catch {
      this.closed(false);
    } finally {
      this.looking = false;
    }
  }

  /** @param {string} url */
  open(url) {
    const socket = new this.Socket(url);
    let wasOpen = false;
    this.socket = socket;
    this.openTimer = setTimeout(() => this.giveUp(), OPEN_LIMIT_MS);
    socket.onopen = () => {
      wasOpen = true;
      const key = this.findKey();
      if (key === null) this.opened();
      else this.send({ type: "auth", key });
    };
    socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    socket.onclose = () => this.closed(wasOpen);
  }

  /** The socket is open, and the server has authenticated the page. */
  opened() {
    clearTimeout(this.openTimer);
    this.heardAtMs = performance.now();
    this.failures = 0;
    this.handlers.onState("open");
    this.settle(true);
    for (const resolve of this.waitingForOpen.splice(0)) resolve();
  }

  /** Abandons whatever the server still does for this page, and connects again. */
  reopen() {
    if (!this.socket) return;
    this.abandon();
    void this.connect();
  }

  /** Treats the socket as lost, whatever its own state is. */
  giveUp() {
    const wasOpen = this.isOpen;
    if (!this.socket) return;
    this.abandon(GIVEN_UP);
    this.closed(wasOpen);
  }

  /** @param {number} [code] */
  abandon(code) {
    if (!this.socket) return;
    clearTimeout(this.openTimer);
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close(code);
    this.socket = null;
  }

  /** Ends the connection for good. */
  close() {
    this.isClosed = true;
    clearInterval(this.pingTimer);
    clearTimeout(this.retryTimer);
    this.abandon();
    this.settle(false);
  }

  /**
   * Connects if necessary; resolves to whether it worked.
   *
   * @returns {Promise<boolean>}
   */
  whenOpen() {
    if (this.isOpen || this.isClosed) return Promise.resolve(this.isOpen);
    void this.connect();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /**
   * Resolves when the socket is open, however many attempts that takes. While a key is required, it waits for the user.
   *
   * @returns {Promise<void>}
   */
  untilOpen() {
    if (this.isOpen) return Promise.resolve();
    if (!this.lockedOut) void this.connect();
    return new Promise((resolve) => this.waitingForOpen.push(resolve));
  }

  /** @param {Record<string, unknown>} message */
  send(message) {
    this.socket?.send(JSON.stringify(message));
  }

  /** @param {ArrayBuffer} pcm */
  sendAudio(pcm) {
    this.socket?.send(pcm);
  }

  /** An idle client lets the server close the connection, and connects again when it is needed. */
  ping() {
    if (this.isOpen && !this.isIdle()) this.send({ type: "ping" });
  }

  /** @param {Record<string, any>} message */
  receive(message) {
    this.heardAtMs = performance.now();
    if (message.type === "pong") return;
    if (message.type === "authorized") return this.opened();
    if (message.code === "unauthorized") this.lockedOut = true;
    if (message.code === "idle_timeout") this.putToSleep = true;
    this.handlers.onMessage(message);
  }

  /** @param {boolean} wasOpen */
  closed(wasOpen) {
    this.socket = null;
    clearTimeout(this.openTimer);
    this.settle(false);
    if (wasOpen) this.handlers.onLost();
    if (this.isClosed) return;
    if (this.lockedOut) return this.handlers.onState("locked");
    if (this.putToSleep) return this.handlers.onState("asleep");
    const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.failures++);
    const retryInMs = ceiling * (0.75 + Math.random() / 2);
    this.retryTimer = setTimeout(() => this.connect(), retryInMs);
    this.handlers.onState("waiting");
  }

  /** @param {boolean} isOpen */
  settle(isOpen) {
    for (const resolve of this.waiting.splice(0)) resolve(isOpen);
  }
}
