/** The documents of this browser and the one that is open: its text, its player, and its place in the history. */

import { wavOf } from "./audio-log.js";
import { clock } from "./clock.js";
import { DocumentView } from "./document-view.js";
import { History } from "./history.js";
import { Player } from "./player.js";
import { TranscriptDocument } from "./transcript-document.js";

/** @typedef {import("./transcript-document.js").Saved} Saved */
/** @typedef {import("./keeper.js").Keeper} Keeper */

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

export class Workspace {
  /**
   * @param {Keeper} keeper
   * @param {import("./settings.js").Settings} settings
   * @param {() => void} onOpen another document is open, or the open one has changed its state
   */
  constructor(keeper, settings, onOpen) {
    this.keeper = keeper;
    this.onOpen = onOpen;
    /** @type {TranscriptDocument | null} */
    this.open = null;
    /** Documents that a job works on, which may not be the open one. @type {Map<string, TranscriptDocument>} */
    this.working = new Map();
    /** Without storage, documents last as long as the page. @type {Map<string, Saved>} */
    this.unstored = new Map();
    /** Deleted documents, while that can be undone. @type {Set<string>} */
    this.hidden = new Set();
    this.name = /** @type {HTMLInputElement} */ (element("name"));
    this.view = new DocumentView(
      {
        scroller: element("transcript"),
        finals: element("finals"),
        partials: element("partials"),
        empty: element("empty"),
      },
      {
        onSeek: (seconds) => this.player.seek(seconds),
        onEdit: (id, text) => this.change((edited) => edited.edit(id, text)),
        onSpeaker: (label) => this.renameSpeaker(label),
      },
    );
    this.player = new Player(element("player"), {
      onTime: (seconds) => this.view.mark(seconds),
      onRate: (rate) => settings.save({ rate }),
    });
    this.player.setRate(settings.choices.rate);
    this.history = new History(
      {
        list: element("documents"),
        search: /** @type {HTMLInputElement} */ (element("search")),
        empty: element("no-documents"),
      },
      (id) => void this.openById(id),
    );
    this.name.addEventListener("change", () => this.change(({ saved }) => (saved.name = this.name.value.trim() || saved.name)));
  }

  /**
   * Opens a new document.
   *
   * @param {{name: string, kind: "recording" | "file", mode: string}} given
   */
  create(given) {
    const made = TranscriptDocument.create(given, { id: newId(), createdMs: Date.now() });
    this.working.set(made.saved.id, made);
    return made;
  }

  /** @param {TranscriptDocument | null} chosen */
  async show(chosen) {
    this.open = chosen;
    this.view.setEditing(false);
    this.view.show(chosen);
    this.drawFacts();
    this.onOpen();
    await Promise.all([this.loadAudio(), this.refresh()]);
  }

  /** @param {string} id */
  async openById(id) {
    const saved = (await this.all()).find((one) => one.id === id);
    const known = this.working.get(id) ?? (saved && new TranscriptDocument(saved));
    if (known) await this.show(known);
  }

  /** @returns {Promise<Saved[]>} the newest first */
  async all() {
    const stored = (await this.keeper.storage?.documents()) ?? [];
    for (const { saved } of this.working.values()) this.unstored.set(saved.id, saved);
    const unstored = [...this.unstored.values()].filter(({ id }) => !stored.some((one) => one.id === id));
    const known = [...this.working.values(), ...(this.open ? [this.open] : [])];
    const fresh = (/** @type {Saved} */ saved) => known.find((one) => one.saved.id === saved.id)?.saved ?? saved;
    const all = [...unstored, ...stored].filter(({ id }) => !this.hidden.has(id));
    return all.map(fresh).sort((a, b) => b.createdMs - a.createdMs);
  }

  /** Lists the documents again. */
  async refresh() {
    this.history.show(await this.all(), this.open?.saved.id ?? null);
    const used = (await this.keeper.storage?.usedBytes()) ?? 0;
    element("used").textContent = `${Math.round(used / 1e6)} MB`;
  }

  /** @param {TranscriptDocument} finished a job has ended */
  async release(finished) {
    this.working.delete(finished.saved.id);
    this.unstored.set(finished.saved.id, finished.saved);
    await this.keeper.save();
    if (this.open === finished) {
      this.drawFacts();
      await this.loadAudio();
    }
    await this.refresh();
  }

  async loadAudio() {
    const shown = this.open;
    const isBusy = shown && this.working.has(shown.saved.id);
    const blob = shown && !isBusy ? await this.audioOf(shown.saved.id) : null;
    if (this.open !== shown) return;
    this.player.load(blob, shown?.saved ?? { durationS: 0, peaks: [] });
    this.onOpen();
  }

  /**
   * @param {string} id
   * @returns {Promise<Blob | null>}
   */
  async audioOf(id) {
    const { storage } = this.keeper;
    const facts = await storage?.facts(id);
    if (!storage || !facts) return null;
    const pieces = await storage.audio(id);
    return facts.sampleRate ? wavOf(pieces, facts.bytes, facts.sampleRate) : pieces[0];
  }

  /**
   * Changes the open document, and shows and saves it.
   *
   * @template T
   * @param {(document: TranscriptDocument) => T} how
   */
  change(how) {
    if (!this.open) return;
    const result = how(this.open);
    this.keeper.touch(this.open);
    this.draw();
    void this.keeper.save().then(() => this.refresh());
    return result;
  }

  draw() {
    this.view.draw();
    this.drawFacts();
    this.onOpen();
  }

  drawFacts() {
    const saved = this.open?.saved;
    element("document-header").hidden = !saved;
    if (!saved) return;
    if (document.activeElement !== this.name) this.name.value = saved.name;
    const names = new Intl.DisplayNames(["en"], { type: "language" });
    const languages = this.open?.languages.slice(0, 2).map((code) => names.of(code) ?? code);
    const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(saved.createdMs);
    const length = this.working.has(saved.id) ? "" : clock(saved.durationS); // it grows, and the recorder shows it
    const facts = [date, length, languages?.join(", "), saved.model];
    element("facts").textContent = facts.filter((fact) => fact).join(" · ");
  }

  /** @param {string} label */
  renameSpeaker(label) {
    const name = prompt("Name of this speaker", this.open?.saved.speakers[label] ?? "");
    if (name === null) return;
    this.change(({ saved }) => {
      if (name.trim()) saved.speakers[label] = name.trim();
      else delete saved.speakers[label];
    });
  }

  /** @param {string} id */
  async remove(id) {
    this.unstored.delete(id);
    this.hidden.delete(id);
    await this.keeper.storage?.remove(id);
    if (this.open?.saved.id === id) await this.show(null);
    else await this.refresh();
  }
}

function newId() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("");
}
