/** What the page is doing: at most one recording or transcription at a time; files wait in a queue. */

import { FileTranscription } from "./file-transcription.js";
import { LiveRecording } from "./live-recording.js";

/** @typedef {import("./transcript-document.js").TranscriptDocument} TranscriptDocument */
/** @typedef {import("./job.js").Trouble} Trouble */
/** @typedef {import("./job.js").Phase | "idle"} Phase */

/**
 * @typedef {object} JobHandlers
 * @property {(phase: Phase) => void} onPhase
 * @property {(document: TranscriptDocument, event: Record<string, any>) => void} onEvent after it was applied
 * @property {(document: TranscriptDocument, trouble?: Trouble) => void} onEnd
 * @property {(isLost: boolean, trouble?: Trouble) => void} onReconnecting
 * @property {(peak: number) => void} onLevel
 * @property {(fraction: number) => void} onProgress
 */

export class Jobs {
  /**
   * @param {object} parts
   * @param {import("./lib/connection.js").Connection} parts.connection
   * @param {import("./keeper.js").Keeper} parts.keeper
   * @param {() => import("./job.js").AudioLimits} parts.limits
   * @param {JobHandlers} handlers
   */
  constructor({ connection, keeper, limits }, handlers) {
    this.connection = connection;
    this.keeper = keeper;
    this.limits = limits;
    this.handlers = handlers;
    /** @type {Phase} */
    this.phase = "idle";
    /** @type {LiveRecording | FileTranscription | null} */
    this.job = null;
    /** Files that wait. @type {{document: TranscriptDocument, begin: () => void}[]} */
    this.queue = [];
    /** How many files have ended since the first of those in progress. */
    this.ended = 0;
  }

  get document() {
    return this.job?.document ?? null;
  }

  get isRecording() {
    return this.job instanceof LiveRecording;
  }

  get isPaused() {
    return this.job instanceof LiveRecording && this.job.isPaused;
  }

  /** The place of the file in progress among those since nothing was in progress. */
  get progress() {
    return { place: this.ended + 1, total: this.ended + 1 + this.queue.length };
  }

  /** Audio of the recording so far, in seconds. */
  get recordedS() {
    return this.job instanceof LiveRecording ? (this.job.log?.durationS ?? 0) : 0;
  }

  /**
   * @param {TranscriptDocument} document
   * @param {Record<string, unknown>} options fields of `start`
   * @param {{deviceId?: string, log?: import("./audio-log.js").AudioLog | null}} [choice] the microphone, and the audio of a
   *   recording that is continued
   */
  record(document, options, { deviceId, log } = {}) {
    const parts = { connection: this.connection, limits: this.limits(), storage: this.keeper.storage, options, deviceId };
    const job = new LiveRecording(document, parts, this.observer(document));
    this.job = job;
    void job.start(log ?? undefined);
  }

  /**
   * Transcribes a file now, or after those before it.
   *
   * @param {TranscriptDocument} document
   * @param {Record<string, unknown>} options fields of `start`
   * @param {Blob} file
   */
  transcribe(document, options, file) {
    const observer = this.observer(document);
    const begin = () => {
      const parts = { connection: this.connection, limits: this.limits(), options };
      const job = new FileTranscription(document, parts, observer);
      this.job = job;
      void job.start(file);
    };
    if (!this.job) return begin();
    this.queue.push({ document, begin });
    this.handlers.onPhase(this.phase);
  }

  stop() {
    if (this.job instanceof LiveRecording) void this.job.stop();
  }

  /** @param {boolean} isPaused */
  pause(isPaused) {
    if (this.job instanceof LiveRecording) this.job.pause(isPaused);
  }

  /** Ends the job without the rest of its text. */
  cancel() {
    this.job?.end({ message: "" });
  }

  /** Ends all jobs. */
  cancelAll() {
    for (const { document } of [...this.queue]) if (this.drop(document)) this.handlers.onEnd(document);
    this.cancel();
  }

  /** @param {string} id of a document */
  isWaiting(id) {
    return this.queue.some(({ document }) => document.saved.id === id);
  }

  /**
   * Removes a document from the queue.
   *
   * @param {TranscriptDocument} waiting
   * @returns {boolean} whether it was there
   */
  drop(waiting) {
    if (!this.isWaiting(waiting.saved.id)) return false;
    this.queue = this.queue.filter(({ document }) => document !== waiting);
    waiting.interrupt();
    this.keeper.touch(waiting);
    this.handlers.onPhase(this.phase);
    return true;
  }

  /** @param {Record<string, any>} message of the connection */
  receive(message) {
    this.job?.receive(message);
  }

  /** The connection has ended. */
  lost() {
    this.job?.lost();
  }

  /**
   * @param {TranscriptDocument} document
   * @returns {import("./job.js").JobObserver}
   */
  observer(document) {
    this.keeper.touch(document);
    return {
      onPhase: (phase) => {
        if (phase === "recording") document.saved.state = "working";
        this.setPhase(phase);
      },
      onEvent: (event) => {
        this.keeper.touch(document);
        this.handlers.onEvent(document, event);
      },
      onEnd: (trouble) => {
        if (this.job instanceof FileTranscription) this.ended += 1;
        if (this.queue.length === 0) this.ended = 0;
        this.job = null;
        this.keeper.touch(document);
        this.setPhase("idle");
        this.handlers.onEnd(document, trouble);
        this.queue.shift()?.begin();
      },
      onReconnecting: this.handlers.onReconnecting,
      onLevel: (peak) => {
        this.keeper.touch(document);
        this.handlers.onLevel(peak);
      },
      onProgress: this.handlers.onProgress,
    };
  }

  /** @param {Phase} phase */
  setPhase(phase) {
    this.phase = phase;
    this.handlers.onPhase(phase);
  }
}
