/**
 * The documents and their audio in this browser (IndexedDB). Audio is kept in pieces, so that a crash loses at most the
 * last one. When the audio exceeds the bound, that of the oldest documents is deleted; their text stays.
 */

import { heldIds } from "./tabs.js";

/** @typedef {import("./transcript-document.js").Saved} Saved */
/**
 * @typedef {object} AudioPiece
 * @property {string} id of the document
 * @property {number} index 0, 1, 2, …
 * @property {Blob} blob s16le samples of a recording, or a whole file
 *
 * @typedef {{id: string, bytes: number, sampleRate: number}} AudioFacts `sampleRate` is 0 for a file in its own format
 */

const NAME = "voxtral";
const VERSION = 1;
/** A browser whose storage is damaged may never answer. */
const OPEN_LIMIT_MS = 5000;
/** About four hours of recordings at 16 kHz, and 87 minutes at the 48 kHz of Firefox. */
const DEFAULT_BOUND_BYTES = 500e6;

export class Storage {
  /** @param {IDBDatabase} database */
  constructor(database) {
    this.database = database;
    this.boundBytes = DEFAULT_BOUND_BYTES;
    /** The audio of this document was deleted to make room. @type {(saved: Saved) => void} */
    this.onDeleted = () => {};
    /** Documents whose audio takes up no room yet. @type {Set<string>} */
    this.unchecked = new Set();
    /** Resolves when room is made for everything so far. @type {Promise<void>} */
    this.roomMade = Promise.resolve();
  }

  /**
   * @returns {Promise<Storage>} rejects if the browser offers no storage, as some private windows do
   */
  static async open() {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("documents", { keyPath: "id" });
      request.result.createObjectStore("audio", { keyPath: ["id", "index"] });
      request.result.createObjectStore("facts", { keyPath: "id" });
    };
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("Storage does not answer.")), OPEN_LIMIT_MS));
    return new Storage(await Promise.race([answer(request), /** @type {Promise<never>} */ (late)]));
  }

  /** @returns {Promise<Saved[]>} the newest first */
  async documents() {
    /** @type {Saved[]} */
    const all = await answer(this.store("documents", "readonly").getAll());
    return all.sort((a, b) => b.createdMs - a.createdMs);
  }

  /** @param {string} id @returns {Promise<Saved | undefined>} */
  document(id) {
    return answer(this.store("documents", "readonly").get(id));
  }

  /** @param {Saved} saved */
  async save(saved) {
    const transaction = this.database.transaction("documents", "readwrite");
    transaction.objectStore("documents").put(saved);
    await finished(transaction); // a lack of room is reported by the transaction, not by the request
  }

  /** @param {string} id */
  async remove(id) {
    const transaction = this.database.transaction(["documents", "audio", "facts"], "readwrite");
    transaction.objectStore("documents").delete(id);
    forget(transaction, id);
    await finished(transaction);
  }

  /**
   * @param {string} id
   * @returns {Promise<AudioFacts | undefined>} undefined if the document has no audio, or its audio was deleted
   */
  facts(id) {
    return answer(this.store("facts", "readonly").get(id));
  }

  /**
   * Stores a piece and makes room for it.
   *
   * @param {AudioPiece} piece replaces the one of the same index
   * @param {{bytes: number, sampleRate: number}} total of the document, with this piece
   */
  async putAudio(piece, total) {
    await this.put(piece, total);
    await this.makeRoom(piece.id);
  }

  /**
   * Stores a piece without making room: `makeRoom` follows when it is known to be audio. Until then it takes up no room.
   *
   * @param {AudioPiece} piece
   * @param {{bytes: number, sampleRate: number}} total
   */
  async put(piece, { bytes, sampleRate }) {
    this.unchecked.add(piece.id);
    const transaction = this.database.transaction(["audio", "facts"], "readwrite");
    transaction.objectStore("audio").put(piece);
    transaction.objectStore("facts").put({ id: piece.id, bytes, sampleRate });
    await finished(transaction);
  }

  /**
   * @param {string} id
   * @returns {Promise<AudioPiece[]>} in their order
   */
  audio(id) {
    return answer(this.store("audio", "readonly").getAll(ofDocument(id)));
  }

  /**
   * @param {string} id
   * @param {number} index
   * @returns {Promise<Blob | undefined>}
   */
  async piece(id, index) {
    return (await answer(this.store("audio", "readonly").get([id, index])))?.blob;
  }

  /**
   * @param {Set<string>} [except] documents that do not count
   * @returns {Promise<number>}
   */
  async usedBytes(except = new Set()) {
    /** @type {AudioFacts[]} */
    const all = await answer(this.store("facts", "readonly").getAll());
    return all.reduce((sum, { id, bytes }) => sum + (except.has(id) ? 0 : bytes), 0);
  }

  /**
   * Deletes the audio of the oldest documents while there is too much, except of those that a tab works on.
   *
   * @param {string} [exceptId] a document that has just got audio
   */
  makeRoom(exceptId) {
    const made = this.roomMade.then(() => this.deleteOldest(exceptId)); // two at a time would delete more than is needed
    this.roomMade = made.catch(() => {});
    return made;
  }

  /** @param {string} [exceptId] */
  async deleteOldest(exceptId) {
    if (exceptId) this.unchecked.delete(exceptId);
    let used = await this.usedBytes(this.unchecked);
    if (used <= this.boundBytes) return;
    const inUse = await heldIds();
    for (const saved of (await this.documents()).reverse()) {
      const { id } = saved;
      const facts = id === exceptId || inUse.has(id) || this.unchecked.has(id) ? undefined : await this.facts(id);
      if (!facts) continue;
      const transaction = this.database.transaction(["audio", "facts"], "readwrite");
      forget(transaction, id);
      await finished(transaction);
      this.onDeleted(saved);
      used -= facts.bytes;
      if (used <= this.boundBytes) return;
    }
  }

  /**
   * @param {"documents" | "audio" | "facts"} name
   * @param {IDBTransactionMode} mode
   */
  store(name, mode) {
    return this.database.transaction(name, mode).objectStore(name);
  }
}

/**
 * @param {IDBTransaction} transaction
 * @param {string} id
 */
function forget(transaction, id) {
  transaction.objectStore("audio").delete(ofDocument(id));
  transaction.objectStore("facts").delete(id);
}

/** @param {string} id */
function ofDocument(id) {
  return IDBKeyRange.bound([id, 0], [id, Infinity]);
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * @param {IDBTransaction} transaction
 * @returns {Promise<void>}
 */
function finished(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error ?? new Error("Nothing was stored."));
  });
}
