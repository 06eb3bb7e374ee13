/** The open document on the page: its text, the word that is being played, and editing in place. */

import { clock } from "./clock.js";
import { labelOf } from "./exports.js";
import { drawText } from "./lib/partial.js";
import { turnsOf } from "./turns.js";

/** The view follows new text if it is this near to the end. */
const NEAR_PX = 160;
/** What the user types is handed on when no key was pressed for so long. */
const TYPED_MS = 500;
const EMPTY = "This transcript is empty: no speech was found, or its text was cleared.";

/** @typedef {import("./transcript-document.js").TranscriptDocument} TranscriptDocument */
/** @typedef {import("./transcript-document.js").Segment} Segment */

/**
 * @typedef {object} ViewHandlers
 * @property {(seconds: number) => void} onSeek a word or time was chosen
 * @property {(id: string, text: string, step: object) => void} onEdit also while the user types: undone with those of the same step
 * @property {(label: string) => void} onSpeaker the label of a speaker was chosen, to be renamed
 */

export class DocumentView {
  /**
   * @param {{scroller: HTMLElement, finals: HTMLElement, partials: HTMLElement, empty: HTMLElement}} elements
   * @param {ViewHandlers} handlers
   */
  constructor(elements, handlers) {
    this.elements = elements;
    this.handlers = handlers;
    /** @type {TranscriptDocument | null} */
    this.document = null;
    this.expected = elements.empty.textContent;
    /** @type {Map<string, {row: HTMLElement, segment: Segment, shown: string}>} by the id of the segment */
    this.rows = new Map();
    /** Segments never change, so those of a long recording are not split again at each event. @type {WeakMap<Segment, Segment[]>} */
    this.turns = new WeakMap();
    this.isEditing = false;
    this.isPlayable = false;
    /** What the paragraph with the focus was when it got it. @type {Segment | undefined} */
    this.former = undefined;
    /** @type {HTMLElement | undefined} */
    this.reachable = undefined;
    /** @type {HTMLElement | null} */
    this.played = null;
    /** The id of the segment that was played last. The view follows while it shows it. */
    this.playedId = "";
    this.typedTimer = 0;
    /** The same as long as one paragraph has the focus. */
    this.step = {};
    elements.finals.addEventListener("click", (event) => this.clicked(/** @type {HTMLElement} */ (event.target)));
    elements.finals.addEventListener("input", (event) => this.typed(/** @type {HTMLElement} */ (event.target)));
    elements.finals.addEventListener("focusout", (event) => this.left(/** @type {HTMLElement} */ (event.target)));
    elements.finals.addEventListener("focusin", (event) => this.focused(/** @type {HTMLElement} */ (event.target)));
    elements.finals.addEventListener("keydown", (event) => this.keyPressed(event));
  }

  /**
   * @param {TranscriptDocument | null} document
   * @param {boolean} isGrowing whether this tab works on it: it is shown from its end, otherwise from its beginning
   */
  show(document, isGrowing) {
    const { finals, scroller } = this.elements;
    this.document = document;
    this.rows.clear();
    this.follow();
    finals.replaceChildren();
    this.draw();
    scroller.scrollTop = isGrowing ? scroller.scrollHeight : 0;
  }

  /**
   * Draws what has changed.
   *
   * @param {boolean} [isGrowing] whether this tab works on the document
   */
  draw(isGrowing = false) {
    const segments = this.document?.segments ?? [];
    const isFollowed = isGrowing && this.isNearEnd;
    this.elements.finals.parentElement?.setAttribute("aria-live", isGrowing ? "polite" : "off");
    this.drawFinals(segments);
    if (!this.reachable?.isConnected) this.setReachable(this.times[0]);
    this.elements.partials.replaceChildren(...[...(this.document?.open.values() ?? [])].map((one) => this.newRow(one, [one], [""])));
    this.elements.empty.hidden = segments.length > 0 || (this.document?.open.size ?? 0) > 0;
    this.elements.empty.textContent = this.document?.saved.state === "done" ? EMPTY : this.expected;
    if (isFollowed) this.elements.scroller.scrollTop = this.elements.scroller.scrollHeight;
  }

  /** @param {Segment[]} segments */
  drawFinals(segments) {
    const { finals } = this.elements;
    const ids = new Set(segments.map(({ id }) => id));
    for (const [id, { row }] of this.rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    const edited = this.typedIn?.closest("li");
    let label = "";
    segments.forEach((segment, at) => {
      const turns = this.turnsShown(segment);
      const labels = turns.map((turn) => (this.document ? (labelOf(this.document.saved, turn) ?? "") : ""));
      const shown = labels.map((name, index) => (name === (labels[index - 1] ?? label) ? "" : name));
      label = labels[labels.length - 1];
      let known = this.rows.get(segment.id);
      if (edited && known?.row === edited) return; // drawn when the user has left it
      if (known?.segment !== segment || known.shown !== shown.join("\n")) {
        const row = this.newRow(segment, turns, shown);
        known?.row.replaceWith(row);
        known = { row, segment, shown: shown.join("\n") };
        this.rows.set(segment.id, known);
      }
      if (finals.children[at] !== known.row) finals.insertBefore(known.row, finals.children[at] ?? null);
    });
  }

  /** @param {Segment} segment is edited as a whole */
  turnsShown(segment) {
    if (this.isEditing) return [segment];
    const turns = this.turns.get(segment) ?? turnsOf(segment);
    this.turns.set(segment, turns);
    return turns;
  }

  /**
   * @param {Segment & {committed?: {text: string}}} segment
   * @param {(Segment & {committed?: {text: string}})[]} turns its parts, or the segment itself
   * @param {string[]} labels of the parts; empty if the speaker is the same as before
   */
  newRow(segment, turns, labels) {
    const row = document.createElement("li");
    row.dataset.id = segment.id;
    row.classList.toggle("unsettled", Boolean(segment.isUnsettled));
    if (segment.isUnsettled) row.title = "Not final: the connection was lost before this text was settled.";
    const body = document.createElement("div");
    turns.forEach((turn, at) => {
      if (labels[at]) body.append(speakerLabel(labels[at], turn));
      const text = document.createElement("p");
      text.dir = "auto";
      drawText(text, turn, { isTimed: true });
      this.setEditable(text, segment);
      body.append(text);
    });
    row.append(this.newTime(segment.start), body);
    return row;
  }

  /** @param {number} seconds */
  newTime(seconds) {
    const time = document.createElement("button");
    time.type = "button";
    time.className = "at";
    time.tabIndex = -1;
    time.disabled = !this.isPlayable;
    time.dataset.start = String(seconds);
    const shown = document.createElement("time");
    shown.textContent = clock(seconds);
    time.append(shown);
    return time;
  }

  /** @param {boolean} isPlayable whether its times can be chosen */
  setPlayable(isPlayable) {
    this.isPlayable = isPlayable;
    for (const time of this.times) time.disabled = !isPlayable;
  }

  get times() {
    return /** @type {HTMLButtonElement[]} */ ([...this.elements.finals.querySelectorAll("button.at")]);
  }

  /** Tab reaches one of the times, from which the arrows lead to the others. @param {HTMLElement | undefined} time */
  setReachable(time) {
    if (this.reachable) this.reachable.tabIndex = -1;
    this.reachable = time;
    if (time) time.tabIndex = 0;
  }

  /** @param {boolean} isEditing */
  setEditing(isEditing) {
    if (isEditing === this.isEditing) return;
    if (!isEditing) this.endTyping();
    this.isEditing = isEditing;
    this.elements.finals.classList.toggle("editing", isEditing);
    this.draw(); // a segment with several speakers is edited as a whole
    for (const segment of this.document?.segments ?? []) {
      const text = this.rows.get(segment.id)?.row.querySelector("p");
      if (text) this.setEditable(text, segment);
    }
  }

  /**
   * @param {HTMLElement} text
   * @param {Segment} segment
   */
  setEditable(text, segment) {
    if (!this.isEditing) return ["contenteditable", "role", "aria-label"].forEach((name) => text.removeAttribute(name));
    text.setAttribute("contenteditable", "plaintext-only");
    if (!text.isContentEditable) text.contentEditable = "true"; // an older Firefox
    text.setAttribute("role", "textbox");
    text.setAttribute("aria-label", `Text at ${clock(segment.start)}`);
  }

  /** @param {HTMLElement} target */
  clicked(target) {
    if (target.dataset.label) return this.handlers.onSpeaker(target.dataset.label);
    const chosen = /** @type {HTMLElement | null} */ (target.closest(this.isEditing ? "button.at" : "[data-start]"));
    if (chosen) this.handlers.onSeek(Number(chosen.dataset.start));
  }

  /** @param {HTMLElement} target */
  typed(target) {
    clearTimeout(this.typedTimer);
    // Without text it is removed, but not while the user may still write another one.
    this.typedTimer = setTimeout(() => target.textContent?.trim() && this.edited(target), TYPED_MS);
  }

  /** The paragraph in which the user is typing. */
  get typedIn() {
    return /** @type {HTMLElement | null} */ (this.elements.finals.querySelector("[contenteditable]:focus"));
  }

  /** Hands on what the user is typing. */
  endTyping() {
    if (this.typedIn) this.left(this.typedIn);
  }

  /** @param {HTMLElement} target */
  left(target) {
    if (!target.isContentEditable) return;
    clearTimeout(this.typedTimer);
    this.edited(target);
    this.step = {};
    this.draw();
  }

  /** @param {HTMLElement} target */
  focused(target) {
    const id = /** @type {HTMLElement | null} */ (target.closest("li"))?.dataset.id;
    this.former = this.document?.segments.find((segment) => segment.id === id);
  }

  /** @param {HTMLElement} target */
  edited(target) {
    const id = /** @type {HTMLElement | null} */ (target.closest("li"))?.dataset.id;
    if (this.isEditing && id && target.isContentEditable) this.handlers.onEdit(id, target.textContent ?? "", this.step);
  }

  /** @param {KeyboardEvent} event */
  keyPressed(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.matches("button.at")) return this.timeKeyPressed(event, target);
    if (!target.isContentEditable || event.isComposing) return;
    if (event.key === "Enter") {
      event.preventDefault();
      const after = target.closest("li")?.nextElementSibling;
      const next = /** @type {HTMLElement | null | undefined} */ (after?.querySelector("[contenteditable]"));
      (next ?? this.elements.scroller).focus();
    }
    if (event.key === "Escape" && this.former) {
      drawText(target, this.former, { isTimed: true });
      this.edited(target);
    }
  }

  /**
   * @param {KeyboardEvent} event
   * @param {HTMLElement} time
   */
  timeKeyPressed(event, time) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const { times } = this;
    const next = times[times.findIndex((one) => one === time) + step];
    if (next) this.setReachable(next);
    next?.focus();
  }

  /** The position of the player was chosen: it will be shown, although the user may have scrolled elsewhere. */
  follow() {
    this.playedId = "";
  }

  /** @param {number | null} seconds position of the player, whose word is marked; null if nothing was played yet */
  mark(seconds) {
    const isAt = (/** @type {Segment} */ { start, end }) => seconds !== null && seconds >= start && seconds < end;
    const segment = this.document?.segments.find(isAt);
    const row = segment && this.rows.get(segment.id)?.row;
    const words = /** @type {HTMLElement[]} */ ([...(row?.querySelectorAll("p [data-start]") ?? [])]);
    const word = words.findLast(({ dataset }) => Number(dataset.start) <= Number(seconds)) ?? null;
    const played = word ?? row?.querySelector("p") ?? null;
    if (played === this.played) return;
    this.played?.classList.remove("played");
    played?.classList.add("played");
    this.played = played;
    if (!segment || !row) return;
    const before = this.rows.get(this.playedId)?.row;
    this.playedId = segment.id;
    if (!this.isVisible(row) && (!before || this.isVisible(before))) row.scrollIntoView({ block: "center" });
  }

  /** @param {string} wanted in lower case: its first place is shown and marked */
  reveal(wanted) {
    const segment = this.document?.segments.find(({ text }) => text.toLowerCase().includes(wanted));
    const row = segment && this.rows.get(segment.id)?.row;
    row?.classList.add("found");
    row?.scrollIntoView({ block: "center" });
  }

  /** @param {HTMLElement} row */
  isVisible(row) {
    const [inner, outer] = [row.getBoundingClientRect(), this.elements.scroller.getBoundingClientRect()];
    return inner.bottom > outer.top && inner.top < outer.bottom;
  }

  get isNearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.elements.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }
}

/**
 * The label before a turn. Chosen, it can be renamed, if it is known who speaks.
 *
 * @param {string} name
 * @param {Segment} turn
 */
function speakerLabel(name, { speaker, channel }) {
  const label = speaker ?? (channel === undefined ? undefined : `channel ${channel}`);
  const element = document.createElement(label ? "button" : "span");
  element.className = "speaker";
  element.textContent = name;
  element.title = label ? "Rename" : "The service cannot tell who spoke";
  if (element instanceof HTMLButtonElement) element.type = "button";
  if (label) element.dataset.label = label;
  return element;
}
