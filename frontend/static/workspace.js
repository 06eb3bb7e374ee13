/** The documents of this browser and the one that is open: its text, its player, and its place in the history. */

import { AudioLog } from "./audio-log.js";
import { clock } from "./clock.js";
import { DocumentView } from "./document-view.js";
import { element, input } from "./elements.js";
import { History } from "./history.js";
import { uncover } from "./panels.js";
import { Player } from "./player.js";
import { heldElsewhere, hold, isHeldHere, listen, release, tellOthers, whenFree } from "./tabs.js";
import { TranscriptDocument, interrupted } from "./transcript-document.js";

/** @typedef {import("./transcript-document.js").Saved} Saved */
/** @typedef {import("./keeper.js").Keeper} Keeper */

export class Workspace {
  /**
   * @param {Keeper} keeper
   * @param {import("./settings.js").Settings} settings
   * @param {import("./jobs.js").Jobs} jobs
   * @param {() => void} onOpen another document is open, or the open one has changed its state
   */
  constructor(keeper, settings, jobs, onOpen) {
    this.keeper = keeper;
    this.jobs = jobs;
    this.onOpen = onOpen;
    /** @type {TranscriptDocument | null} */
    this.open = null;
    /** Whether the open document has no audio any more, or none was stored. */
    this.lacksAudio = false;
    /** Those made or opened in this tab. Without storage, documents last as long as the page. @type {Map<string, TranscriptDocument>} */
    this.known = new Map();
    /** What was last read of those stored: to read them all takes long. @type {Promise<Map<string, Saved>> | null} */
    this.stored = null;
    /** Documents that other tabs work on. @type {Set<string>} */
    this.elsewhere = new Set();
    /** Documents that other tabs have worked on. @type {Set<string>} */
    this.touchedElsewhere = new Set();
    this.name = input("name");
    this.view = new DocumentView(
      {
        scroller: element("transcript"),
        finals: element("finals"),
        partials: element("partials"),
        empty: element("empty"),
      },
      {
        onSeek: (seconds) => this.player.seek(seconds),
        onEdit: (id, text, step) => this.changeText((edited) => edited.edit(id, text, step)),
        onSpeaker: (label) => this.renameSpeaker(label),
      },
    );
    this.player = new Player(element("player"), {
      onTime: (seconds) => this.view.mark(seconds),
      onSeek: () => this.view.follow(),
      onRate: (rate) => settings.save({ rate }),
    });
    this.player.setRate(settings.choices.rate);
    this.history = new History(
      {
        list: element("documents"),
        search: input("search"),
        empty: element("no-documents"),
      },
      (id, wanted) => void this.choose(id, wanted),
    );
    listen((id) => void this.changedElsewhere(id));
    this.name.addEventListener("change", () => this.change(({ saved }) => (saved.name = this.name.value.trim() || saved.name)));
  }

  /**
   * A new document, which this tab works on until `release`.
   *
   * @param {{name: string, kind: "recording" | "file", mode: string}} given
   */
  create(given) {
    const made = TranscriptDocument.create(given, { id: newId(), createdMs: Date.now() });
    this.known.set(made.saved.id, made);
    void hold(made.saved.id);
    return made;
  }

  /**
   * Takes a document to work on it, until `release`.
   *
   * @param {TranscriptDocument} wanted
   * @returns {Promise<boolean>} false if this tab or another one works on it, or another one has changed it
   */
  async claim(wanted) {
    const { id } = wanted.saved;
    if (!(await hold(id))) return false;
    const isCurrent = this.known.get(id) === wanted;
    if (isCurrent && wanted.saved.state === "working") wanted.interrupt(); // its tab has crashed
    if (!isCurrent) release(id);
    return isCurrent;
  }

  /** Whether this tab or another one works on the open document. */
  get isBusy() {
    const id = this.open?.saved.id;
    return id !== undefined && (isHeldHere(id) || this.elsewhere.has(id));
  }

  /** Whether this tab works on the open document. */
  get isGrowing() {
    return this.open !== null && isHeldHere(this.open.saved.id);
  }

  /** @param {TranscriptDocument | null} chosen */
  async show(chosen) {
    // What the user is typing belongs to the former document. If another tab has changed that one, it is added to the change.
    if (this.open?.saved.id !== chosen?.saved.id) this.view.setEditing(false);
    this.open = chosen;
    if (chosen) this.known.set(chosen.saved.id, chosen);
    this.lacksAudio = false;
    this.view.setEditing(false);
    this.view.show(chosen, this.isGrowing);
    this.drawFacts();
    this.onOpen();
    await this.lookElsewhere();
    if (this.open === chosen) await Promise.all([this.loadAudio(), this.refresh()]);
  }

  /** Finds out what other tabs work on. */
  async lookElsewhere() {
    const before = this.elsewhere;
    this.elsewhere = await heldElsewhere();
    for (const id of this.elsewhere) if (!before.has(id)) void whenFree(id).then(() => this.changedElsewhere(id));
    this.drawFacts();
    this.onOpen();
  }

  /** @param {string} id another tab has changed this document, or begun or ended to work on it */
  async changedElsewhere(id) {
    if (isHeldHere(id)) return;
    this.known.delete(id);
    this.touchedElsewhere.add(id);
    await this.lookElsewhere();
    const current = await this.read(id, this.elsewhere);
    if (this.open?.saved.id === id) await this.show(current); // no other one was chosen meanwhile
    else await this.refresh();
  }

  /**
   * @param {string} id of the list
   * @param {string} wanted is shown, if the text contains it
   */
  async choose(id, wanted) {
    if (uncover()) element("transcript").focus({ preventScroll: true });
    const chosen = await this.find(id);
    const shown = this.show(chosen);
    if (wanted) this.view.reveal(wanted);
    await shown;
  }

  /** @param {string} id */
  async find(id) {
    return this.known.get(id) ?? this.read(id, await heldElsewhere());
  }

  /**
   * @param {string} id
   * @param {Set<string>} elsewhere what other tabs worked on before
   * @returns {Promise<TranscriptDocument | null>} null if it was deleted
   */
  async read(id, elsewhere) {
    const saved = await this.reread(id);
    if (!saved || this.known.has(id)) return this.known.get(id) ?? null;
    const isLeft = saved.state === "working" && !elsewhere.has(id); // its tab was closed while it worked on it
    return new TranscriptDocument(isLeft ? interrupted(saved) : saved);
  }

  /** @returns {Promise<Saved[]>} the newest first */
  async all() {
    this.stored ??= this.readAll();
    const all = new Map([...(await this.stored), ...[...this.known].map(([id, { saved }]) => /** @type {const} */ ([id, saved]))]);
    return [...all.values()].filter(({ isDeleted }) => !isDeleted).sort((a, b) => b.createdMs - a.createdMs);
  }

  async readAll() {
    try {
      return new Map((await this.keeper.readAll()).map((saved) => [saved.id, saved]));
    } catch (error) {
      this.stored = null; // the next call tries it again
      throw error;
    }
  }

  /**
   * @param {string} id
   * @returns {Promise<Saved | null>} what is stored of a document; null if it was deleted
   */
  async reread(id) {
    const stored = await this.stored;
    const saved = (await this.keeper.storage?.document(id)) ?? null;
    const current = saved?.isDeleted ? null : saved;
    if (current) stored?.set(id, current);
    else stored?.delete(id);
    return current;
  }

  /** Lists the documents again, when the tab is shown: other tabs do not report each change of what they work on. */
  async catchUp() {
    await this.lookElsewhere();
    await Promise.all([...this.elsewhere, ...this.touchedElsewhere].map((id) => this.reread(id)));
    await this.refresh();
  }

  /** Lists the documents again. */
  async refresh() {
    const waiting = new Set(this.jobs.queue.map(({ document }) => document.saved.id));
    this.history.show(await this.all(), this.open?.saved.id ?? null, waiting);
    element("storage").hidden = !this.keeper.storage;
    const used = (await this.keeper.storage?.usedBytes()) ?? 0;
    element("used").textContent = `${Math.round(used / 1e6)} MB`;
  }

  /** @param {TranscriptDocument} finished which no job works on any more */
  async release(finished) {
    await this.keeper.save();
    release(finished.saved.id);
    if (this.open === finished) {
      this.drawFacts();
      await this.loadAudio();
    }
    await this.refresh();
  }

  async loadAudio() {
    const shown = this.open;
    const blob = shown && !this.isBusy ? await this.audioOf(shown.saved.id) : null;
    if (this.open !== shown) return;
    this.player.load(blob, shown?.saved ?? { durationS: 0, peaks: [] });
    this.view.setPlayable(this.player.isLoaded);
    this.lacksAudio = shown !== null && !this.isBusy && !blob && shown.saved.durationS > 0;
    this.drawFacts();
    this.onOpen();
  }

  /**
   * @param {string} id
   * @returns {Promise<Blob | null>}
   */
  async audioOf(id) {
    const { storage } = this.keeper;
    if (!storage) return null;
    const log = await AudioLog.reopen(storage, id, []);
    return log ? log.wav() : ((await storage.audio(id))[0]?.blob ?? null);
  }

  /**
   * Changes the text of the open document, unless a job works on it, which needs the text as it is.
   *
   * @template T
   * @param {(document: TranscriptDocument) => T} how
   */
  changeText(how) {
    if (!this.isBusy) return this.change(how);
  }

  /**
   * Changes the open document, and shows and saves it.
   *
   * @template T
   * @param {(document: TranscriptDocument) => T} how
   */
  change(how) {
    if (!this.open || this.elsewhere.has(this.open.saved.id)) return;
    const result = how(this.open);
    this.keeper.touch(this.open);
    this.draw();
    void this.keeper.save().then(() => this.refresh());
    return result;
  }

  draw() {
    this.view.draw(this.isGrowing);
    this.drawFacts();
    this.onOpen();
  }

  drawFacts() {
    const saved = this.open?.saved;
    element("document-header").hidden = !saved;
    if (!saved) return;
    if (document.activeElement !== this.name) this.name.value = saved.name;
    this.name.readOnly = this.elsewhere.has(saved.id);
    const names = new Intl.DisplayNames(["en"], { type: "language" });
    const languages = this.open?.languages.slice(0, 2).map((code) => names.of(code) ?? code);
    const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(saved.createdMs);
    const length = isHeldHere(saved.id) ? "" : clock(saved.durationS); // it grows, and the recorder shows it
    const facts = [date, length, languages?.join(", "), saved.model, this.lacksAudio && "Audio not kept"];
    element("facts").textContent = facts.filter((fact) => fact).join(" · ");
  }

  /** @param {string} label */
  renameSpeaker(label) {
    const name = prompt("Name of this speaker", this.open?.saved.speakers[label] ?? "");
    if (name !== null) this.change((open) => open.renameSpeaker(label, name));
  }

  /**
   * Deletes a document so that it can be brought back, until `remove` or until the tab is gone.
   *
   * @param {TranscriptDocument} deleted
   * @returns {Promise<boolean>} false if a tab works on it
   */
  async hide(deleted) {
    if (!this.jobs.drop(deleted) && !(await this.claim(deleted))) return false;
    deleted.saved.isDeleted = true;
    this.keeper.touch(deleted);
    await this.keeper.save();
    tellOthers(deleted.saved.id);
    if (this.open === deleted) await this.show(null);
    else await this.refresh();
    return true;
  }

  /** @param {TranscriptDocument} deleted */
  async bringBack(deleted) {
    delete deleted.saved.isDeleted;
    this.keeper.touch(deleted);
    await this.release(deleted);
    await this.show(deleted);
  }

  /** @param {TranscriptDocument} removed which this tab holds */
  async remove(removed) {
    const { id } = removed.saved;
    this.known.delete(id);
    void this.stored?.then((stored) => stored.delete(id));
    try {
      await this.keeper.remove(removed);
    } finally {
      release(id);
    }
    if (this.open === removed) await this.show(null);
    else await this.refresh();
  }
}

function newId() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("");
}
