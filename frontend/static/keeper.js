/** Saves documents while they change. */

import { heldIds, isHeldHere, tellOthers } from "./tabs.js";
import { interrupted } from "./transcript-document.js";

const SAVE_MS = 1000;
/** A long document takes longer to save, and is saved less often: saving takes at most one part in this many of the time. */
const SHARE = 20;

/** @typedef {import("./transcript-document.js").TranscriptDocument} TranscriptDocument */
/** @typedef {import("./transcript-document.js").Saved} Saved */
/** @typedef {import("./storage.js").Storage} Storage */

export class Keeper {
  /**
   * @param {Storage | null} storage null if the browser offers none
   * @param {(error: unknown) => void} onTrouble a document could not be saved; called once until it is saved
   */
  constructor(storage, onTrouble) {
    this.storage = storage;
    this.onTrouble = onTrouble;
    /** @type {Set<TranscriptDocument>} */
    this.changed = new Set();
    /** Could not be saved at the last attempt. @type {WeakSet<TranscriptDocument>} */
    this.failing = new WeakSet();
    /** @type {WeakSet<TranscriptDocument>} */
    this.removed = new WeakSet();
    this.timer = 0;
    this.pauseMs = SAVE_MS;
    document.addEventListener("visibilitychange", () => document.hidden && void this.save());
    addEventListener("pagehide", () => void this.save());
  }

  /** @param {TranscriptDocument} changed will be saved soon */
  touch(changed) {
    this.changed.add(changed);
    this.timer ||= setTimeout(() => void this.save(), this.pauseMs);
  }

  /** Saves everything that has changed. */
  async save() {
    clearTimeout(this.timer);
    this.timer = 0;
    const begunMs = performance.now();
    for (const one of [...this.changed]) {
      if (!this.changed.delete(one)) continue; // it was saved or removed meanwhile
      const { stored } = one;
      try {
        await this.storage?.save(stored);
        this.failing.delete(one);
        if (!isHeldHere(stored.id)) tellOthers(stored.id);
      } catch (error) {
        if (this.removed.has(one)) continue;
        this.changed.add(one); // it is saved with the next change
        if (!this.failing.has(one)) this.onTrouble(error);
        this.failing.add(one);
      }
    }
    this.pauseMs = Math.max(SAVE_MS, SHARE * (performance.now() - begunMs));
  }

  /** @param {TranscriptDocument} removed */
  async remove(removed) {
    this.removed.add(removed);
    this.changed.delete(removed);
    await this.storage?.remove(removed.saved.id);
  }

  /**
   * Reads all documents. Removes those that were deleted, and marks those as interrupted on which no tab works any more.
   *
   * @returns {Promise<Saved[]>} those that are left
   */
  async readAll() {
    const inUse = await heldIds();
    const left = [];
    for (const saved of (await this.storage?.documents()) ?? []) {
      const isFree = !inUse.has(saved.id);
      const current = isFree && saved.state === "working" ? interrupted(saved) : saved;
      if (!saved.isDeleted) left.push(current);
      try {
        if (isFree && saved.isDeleted) await this.storage?.remove(saved.id);
        else if (current !== saved) await this.storage?.save(current);
      } catch (error) {
        this.onTrouble(error); // it is tried again when the page is next loaded
      }
    }
    return left;
  }
}
