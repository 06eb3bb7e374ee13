/**
 * Records the microphone into a document. The audio goes to a log first, and from there to the server: whatever happens to
 * the server, the recording continues, and audio without settled text is transcribed when the server is back.
 */

import { AudioLog } from "./audio-log.js";
import { Job } from "./job.js";
import { Recorder } from "./lib/recorder.js";
import { LiveSession } from "./lib/session.js";
import * as wording from "./wording.js";

const RETRY_S = 2;
/** Another attempt with the same options may succeed. Errors without a code are those of the connection. */
const TEMPORARY = new Set([
  "idle_timeout",
  "internal_error",
  "model_unavailable",
  "rate_limited",
  "server_busy",
  "session_expired",
  "session_unknown",
  "unauthorized",
]);

/** @typedef {import("./job.js").Trouble} Trouble */

/** @extends {Job<LiveSession>} */
export class LiveRecording extends Job {
  /**
   * @param {import("./transcript-document.js").TranscriptDocument} document
   * @param {object} parts
   * @param {import("./lib/connection.js").Connection} parts.connection
   * @param {import("./job.js").AudioLimits} parts.limits
   * @param {Record<string, unknown>} parts.options fields of `start`
   * @param {import("./storage.js").Storage | null} parts.storage
   * @param {string} [parts.deviceId] of the microphone
   * @param {import("./job.js").JobObserver} observer
   */
  constructor(document, { storage, deviceId, ...parts }, observer) {
    super(document, parts, observer);
    this.storage = storage;
    this.deviceId = deviceId;
    /** @type {Recorder | null} */
    this.recorder = null;
    /** @type {AudioLog | null} */
    this.log = null;
    /** Position in the log up to which the session has the audio. */
    this.fedBytes = 0;
    this.isFeeding = false;
    this.isPaused = false;
    this.isStopped = false;
    this.hasSentStop = false;
    this.hasWarned = false;
    /** @type {() => void} */
    this.wake = () => {};
  }

  /** @param {AudioLog} [log] the audio of a recording that is continued */
  async start(log) {
    this.observer.onPhase("starting");
    const sampleRate = log?.sampleRate ?? this.limits.sampleRate;
    try {
      this.recorder = await Recorder.start({ ...this.limits, sampleRate, deviceId: this.deviceId }, {
        onChunk: (pcm) => this.take(pcm),
        onLevel: (peak) => this.observer.onLevel(this.isPaused ? 0 : peak),
        onLost: () => this.microphoneLost(),
        onInterrupted: () => this.observer.onEvent({ type: "warning", message: wording.MICROPHONE_INTERRUPTED }),
        onResumed: () => this.observer.onEvent({ type: "withdrawn", message: wording.MICROPHONE_INTERRUPTED }),
      });
    } catch (error) {
      return this.end({ message: wording.microphoneTrouble(error), retry_after_s: 0 });
    }
    if (this.isOver) return this.release();
    if (log && log.sampleRate !== this.recorder.sampleRate) return this.end({ message: wording.OTHER_RATE });
    this.log = log ?? new AudioLog(this.storage, this.document.saved.id, this.recorder.sampleRate);
    this.observer.onPhase("recording");
    await this.serve(this.log);
  }

  /** @param {ArrayBuffer} pcm */
  take(pcm) {
    if (!this.log || this.isPaused || this.isOver) return;
    this.log.append(pcm);
    this.document.saved.durationS = this.log.durationS;
    this.document.saved.peaks = this.log.peaks;
    this.warnIfNotStored(this.log);
    this.wake();
    void this.feed();
  }

  /** @param {AudioLog} log */
  warnIfNotStored({ storage, trouble }) {
    if (this.hasWarned || (storage && !trouble)) return;
    this.hasWarned = true;
    this.observer.onEvent({ type: "warning", message: wording.NOT_STORED });
  }

  /**
   * Keeps a session as long as there is audio without settled text.
   *
   * @param {AudioLog} log
   */
  async serve(log) {
    while (!this.isOver) {
      const fromBytes = log.bytesOf(this.document.settledS);
      if (this.isStopped && fromBytes >= log.endBytes) return this.end();
      if (fromBytes >= log.endBytes) {
        await new Promise((resolve) => (this.wake = () => resolve(undefined)));
        continue;
      }
      if (!this.connection.isOpen) this.observer.onReconnecting(true);
      await this.connection.untilOpen();
      if (this.isOver) return;
      const trouble = await this.runSession(log, fromBytes);
      if (this.isOver) return;
      if (!trouble) return this.end();
      this.document.lose();
      this.observer.onReconnecting(true, trouble);
      if (trouble.code && !TEMPORARY.has(trouble.code)) return this.end(trouble);
      await pause(Math.max(RETRY_S, trouble.retry_after_s ?? 0));
    }
  }

  /**
   * @param {AudioLog} log
   * @param {number} fromBytes
   * @returns {Promise<Trouble | undefined>} undefined when all audio is transcribed
   */
  async runSession(log, fromBytes) {
    this.document.begin(log.secondsOf(fromBytes));
    this.fedBytes = fromBytes;
    this.hasSentStop = false;
    const trouble = await new Promise((resolve) => {
      const session = new LiveSession(this.connection, {
        onEvent: (event) => this.takeEvent(event),
        onDone: () => resolve(undefined),
        onError: resolve,
        onReconnecting: (isLost) => this.reconnecting(isLost),
      });
      this.session = session;
      session.start({ sample_rate: log.sampleRate, ...this.options });
      void this.feed();
    });
    this.session = null;
    this.expectAnswer(false);
    return trouble;
  }

  /** Gives the session the audio that it does not have. */
  async feed() {
    const { session, log } = this;
    if (!session || !log || this.isFeeding) return;
    this.isFeeding = true;
    while (session === this.session && !session.isOver) {
      const pcm = await log.read(this.fedBytes);
      if (pcm.byteLength === 0) break;
      await session.send(pcm);
      if (session === this.session) this.fedBytes += pcm.byteLength;
    }
    this.isFeeding = false;
    if (session !== this.session) return void this.feed();
    if (this.isStopped && !this.hasSentStop) this.sendStop(session);
  }

  /** @param {LiveSession} session */
  sendStop(session) {
    this.hasSentStop = true;
    session.stop();
    this.expectAnswer(true);
  }

  /** @param {Record<string, any>} event */
  takeEvent(event) {
    if (event.type === "ready") this.observer.onReconnecting(false);
    this.hear();
    this.document.apply(event);
    this.observer.onEvent(event);
  }

  /** @param {boolean} isPaused whether the microphone is ignored */
  pause(isPaused) {
    this.isPaused = isPaused;
    if (isPaused) this.session?.commit();
  }

  /** No more audio follows; the audio so far is still transcribed. */
  async stop() {
    if (this.isStopped) return;
    this.observer.onPhase("finishing");
    await this.release();
    this.isStopped = true;
    this.wake();
    await this.feed();
  }

  async microphoneLost() {
    await this.stop();
    this.observer.onEvent({ type: "warning", message: wording.MICROPHONE_LOST });
  }

  /** @param {Trouble} [trouble] why it ends, if it failed */
  end(trouble) {
    if (this.isOver) return;
    super.end(trouble);
    this.session = null;
    this.wake();
    void this.release();
  }

  /** Frees the microphone, and stores the last audio. */
  async release() {
    const recorder = this.recorder;
    this.recorder = null;
    await recorder?.stop();
    await this.log?.flush();
  }
}

/** @param {number} seconds */
function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
