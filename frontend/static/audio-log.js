/** All audio of one recording, from which sessions, the player and later transcriptions read. */

import { PEAK_S } from "./transcript-document.js";

const SAMPLE_BYTES = 2;
/** The audio that a crash can lose. */
const PIECE_S = 1;

/** @typedef {import("./storage.js").Storage} Storage */

export class AudioLog {
  /**
   * @param {Storage | null} storage null keeps the audio in memory only
   * @param {string} id of the document
   * @param {number} sampleRate Hz
   */
  constructor(storage, id, sampleRate) {
    this.storage = storage;
    this.id = id;
    this.sampleRate = sampleRate;
    this.pieceBytes = PIECE_S * sampleRate * SAMPLE_BYTES;
    this.endBytes = 0;
    /** Pieces that are not stored yet, or that storage has rejected, by their index. @type {Map<number, Uint8Array>} */
    this.memory = new Map();
    /** Resolves when everything appended so far is stored. @type {Promise<void>} */
    this.stored = Promise.resolve();
    /** Why storage rejected audio. @type {unknown} */
    this.trouble = null;
    /** @type {number[]} */
    this.peaks = [];
  }

  /**
   * The log of a recording that was interrupted, to be continued.
   *
   * @param {Storage} storage
   * @param {string} id
   * @param {number[]} peaks
   */
  static async reopen(storage, id, peaks) {
    const facts = await storage.facts(id);
    if (!facts?.sampleRate) return null;
    const log = new AudioLog(storage, id, facts.sampleRate);
    log.endBytes = facts.bytes;
    log.peaks = peaks;
    const rest = facts.bytes % log.pieceBytes;
    if (rest > 0) {
      const index = Math.floor(facts.bytes / log.pieceBytes);
      log.memory.set(index, await log.storedPiece(index));
    }
    return log;
  }

  get durationS() {
    return this.secondsOf(this.endBytes);
  }

  /** @param {number} bytes */
  secondsOf(bytes) {
    return bytes / (this.sampleRate * SAMPLE_BYTES);
  }

  /** @param {number} seconds */
  bytesOf(seconds) {
    return Math.floor(seconds * this.sampleRate) * SAMPLE_BYTES;
  }

  /** @param {ArrayBuffer} pcm s16le */
  append(pcm) {
    this.addPeaks(pcm);
    let rest = new Uint8Array(pcm);
    while (rest.length > 0) {
      const index = Math.floor(this.endBytes / this.pieceBytes);
      const at = this.endBytes % this.pieceBytes;
      const piece = this.memory.get(index) ?? new Uint8Array(this.pieceBytes);
      this.memory.set(index, piece);
      const taken = rest.subarray(0, this.pieceBytes - at);
      piece.set(taken, at);
      this.endBytes += taken.length;
      rest = rest.subarray(taken.length);
      if (at + taken.length === this.pieceBytes) this.store(index);
    }
  }

  /** Stores the last, incomplete piece, too. */
  flush() {
    const index = Math.floor(this.endBytes / this.pieceBytes);
    if (this.endBytes % this.pieceBytes > 0) this.store(index);
    return this.stored;
  }

  /**
   * Stores a piece, after those before it that storage has rejected: what is stored has no gaps.
   *
   * @param {number} last
   */
  store(last) {
    const { storage } = this;
    if (!storage) return;
    const storeAll = async () => {
      for (const [index, piece] of this.memory) if (index <= last) await this.storePiece(storage, index, piece);
    };
    this.stored = this.stored.then(storeAll).catch((error) => void (this.trouble ??= error));
  }

  /**
   * @param {Storage} storage
   * @param {number} index
   * @param {Uint8Array} piece
   */
  async storePiece(storage, index, piece) {
    const { id, sampleRate } = this;
    const bytes = Math.min(this.endBytes, (index + 1) * this.pieceBytes);
    const blob = new Blob([piece.slice(0, bytes - index * this.pieceBytes)]);
    await storage.putAudio({ id, index, blob }, { bytes, sampleRate });
    if (bytes === (index + 1) * this.pieceBytes) this.memory.delete(index);
  }

  /**
   * @param {number} fromBytes
   * @returns {Promise<ArrayBuffer>} the audio from there to the end of its piece; empty at the end of the audio
   */
  async read(fromBytes) {
    const index = Math.floor(fromBytes / this.pieceBytes);
    const at = fromBytes % this.pieceBytes;
    const limit = Math.min(this.pieceBytes, this.endBytes - index * this.pieceBytes);
    if (at >= limit) return new ArrayBuffer(0);
    const kept = this.memory.get(index) ?? (await this.storedPiece(index));
    return kept.slice(at, limit).buffer;
  }

  /** @param {number} index of a piece; silence if storage has lost it */
  async storedPiece(index) {
    const blob = await this.storage?.piece(this.id, index);
    const piece = new Uint8Array(this.pieceBytes);
    if (blob) piece.set(new Uint8Array(await blob.arrayBuffer()));
    return piece;
  }

  /** @returns {Promise<Blob>} all audio as a WAV file; silence where storage has lost a piece */
  async wav() {
    await this.stored;
    const stored = new Map((await this.storage?.audio(this.id))?.map(({ index, blob }) => [index, blob]));
    const pieces = [];
    for (let index = 0; index * this.pieceBytes < this.endBytes; index++) {
      const limit = Math.min(this.pieceBytes, this.endBytes - index * this.pieceBytes);
      pieces.push(this.memory.get(index)?.slice(0, limit) ?? stored.get(index) ?? new Uint8Array(limit));
    }
    // In a blob of stored pieces, Firefox can only move as far as it has read, which is a minute. A copy has none.
    return new Response(wavOf(pieces, this.endBytes, this.sampleRate)).blob();
  }

  /** @param {ArrayBuffer} pcm */
  addPeaks(pcm) {
    const samples = new Int16Array(pcm);
    const barSamples = PEAK_S * this.sampleRate;
    const before = this.endBytes / SAMPLE_BYTES;
    for (let at = 0; at < samples.length; at++) {
      const bar = Math.floor((before + at) / barSamples);
      const level = Math.min(255, Math.abs(samples[at]) >> 7);
      if (level >= (this.peaks[bar] ?? 0)) this.peaks[bar] = level;
    }
  }
}

/**
 * @param {BlobPart[]} pieces s16le, mono
 * @param {number} bytes of all pieces
 * @param {number} sampleRate Hz
 */
export function wavOf(pieces, bytes, sampleRate) {
  const header = new DataView(new ArrayBuffer(44));
  const text = (/** @type {number} */ at, /** @type {string} */ value) =>
    [...value].forEach((character, index) => header.setUint8(at + index, character.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, sampleRate, true);
  header.setUint32(28, sampleRate * SAMPLE_BYTES, true);
  header.setUint16(32, SAMPLE_BYTES, true);
  header.setUint16(34, 8 * SAMPLE_BYTES, true);
  text(36, "data");
  header.setUint32(40, bytes, true);
  return new Blob([header, ...pieces], { type: "audio/wav" });
}
