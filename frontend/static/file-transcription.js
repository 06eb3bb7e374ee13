/** Transcribes a file, or the audio of a recording, into a document. */

import { decodeFile, toBase64 } from "./files.js";
import { Job } from "./job.js";
import { FileRequest, LiveSession } from "./lib/session.js";
import { PEAK_S } from "./transcript-document.js";
import * as wording from "./wording.js";

/** Half a second: a file need not be sent in the small pieces of a live recording. */
const FILE_PIECES_PER_SECOND = 2;
/** A file is decoded in long windows, several at a time, which take turns with those of other files. */
const SILENCE_LIMIT_MS = 300000;

/** The code of a trouble. */
const TOO_LARGE = "file_too_large";
/** Of files that will not be transcribed later either. */
const REJECTED = ["invalid_audio", "unsupported_audio", TOO_LARGE];

/** @param {import("./job.js").Trouble} [trouble] */
export function isRejection(trouble) {
  return REJECTED.includes(trouble?.code ?? "");
}

/** @extends {Job<LiveSession | FileRequest>} */
export class FileTranscription extends Job {
  silenceLimitMs = SILENCE_LIMIT_MS;

  /** @param {Blob} file */
  async start(file) {
    this.observer.onPhase("file");
    this.document.begin(0);
    // Questions are about a whole recording; a transcription can start while the file is sent.
    const isQuestion = this.options.mode === "understand" || this.options.mode === "general";
    const pcm = isQuestion ? null : await decodeFile(file, this.limits.sampleRate);
    await this.connection.untilOpen();
    if (this.isOver) return;
    if (pcm) await this.sendSamples(pcm);
    else await this.sendWhole(file);
  }

  /**
   * @template {LiveSession | FileRequest} T
   * @param {new (connection: any, handlers: import("./lib/session.js").WorkHandlers) => T} kind
   * @returns {T}
   */
  newSession(kind) {
    const session = new kind(this.connection, {
      onEvent: (event) => this.takeEvent(event),
      onDone: () => this.end(),
      onError: (error) => this.end(error.code ? error : { ...error, message: wording.FILE_INTERRUPTED }),
      onReconnecting: (isLost) => this.reconnecting(isLost),
    });
    this.session = session;
    return session;
  }

  /** @param {Int16Array} pcm */
  async sendSamples(pcm) {
    const { sampleRate } = this.limits;
    this.document.saved.durationS = pcm.length / sampleRate;
    this.document.saved.peaks = peaksOf(pcm, sampleRate);
    const session = this.newSession(LiveSession);
    session.start({ sample_rate: sampleRate, recording: true, ...this.options });
    const pieceSamples = Math.ceil(sampleRate / FILE_PIECES_PER_SECOND);
    for (let sent = 0; sent < pcm.length && !this.isOver; sent += pieceSamples) {
      await session.send(pcm.slice(sent, sent + pieceSamples).buffer);
    }
    if (this.isOver) return;
    session.stop();
    this.expectAnswer(true);
  }

  /** @param {Blob} file */
  async sendWhole(file) {
    const { maxFileBytes } = this.limits;
    if (file.size > maxFileBytes) return this.end({ message: wording.tooLarge(file.size, maxFileBytes), code: TOO_LARGE });
    let base64;
    try {
      base64 = await toBase64(file);
    } catch {
      return this.end({ message: "The file could not be read.", retry_after_s: 0 });
    }
    if (!this.isOver) this.newSession(FileRequest).start(base64, this.options);
  }

  /** @param {Record<string, any>} event */
  takeEvent(event) {
    this.hear();
    const { saved } = this.document;
    if (event.type === "response") {
      saved.durationS = event.audio_duration_ms / 1000; // its text came with the finals
      saved.model = event.model;
    } else {
      this.document.apply(event);
    }
    if (event.end && saved.durationS) this.observer.onProgress(Math.min(1, event.end / saved.durationS));
    this.observer.onEvent(event);
  }
}

/**
 * @param {Int16Array} pcm
 * @param {number} sampleRate
 * @returns {number[]}
 */
function peaksOf(pcm, sampleRate) {
  const barSamples = Math.round(PEAK_S * sampleRate);
  return Array.from({ length: Math.ceil(pcm.length / barSamples) }, (_, bar) => {
    let peak = 0;
    for (const sample of pcm.subarray(bar * barSamples, (bar + 1) * barSamples)) peak = Math.max(peak, Math.abs(sample));
    return Math.min(255, peak >> 7);
  });
}
