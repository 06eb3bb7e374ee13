/** The list of all documents in this browser, with search over their texts. */

import { clock } from "./clock.js";

const SNIPPET_CHARS = 60;
/** @type {Record<string, string>} */
const STATES = { working: "In progress", interrupted: "Not finished" };

/** @typedef {import("./transcript-document.js").Saved} Saved */

export class History {
  /**
   * @param {{list: HTMLElement, search: HTMLInputElement, empty: HTMLElement}} elements
   * @param {(id: string, wanted: string) => void} onOpen a document was chosen, by the text that was searched
   */
  constructor({ list, search, empty }, onOpen) {
    this.list = list;
    this.search = search;
    this.empty = empty;
    /** @type {Saved[]} the newest first */
    this.documents = [];
    /** @type {string | null} */
    this.openId = null;
    /** @type {Set<string>} */
    this.waiting = new Set();
    search.addEventListener("input", () => this.draw());
    list.addEventListener("click", ({ target }) => {
      const chosen = /** @type {HTMLElement} */ (target).closest("button");
      if (chosen?.dataset.id) onOpen(chosen.dataset.id, this.wanted);
    });
  }

  /**
   * @param {Saved[]} documents
   * @param {string | null} openId
   * @param {Set<string>} waiting files that are transcribed later
   */
  show(documents, openId, waiting) {
    this.waiting = waiting;
    this.documents = documents;
    this.openId = openId;
    this.draw();
  }

  get wanted() {
    return this.search.value.trim().toLowerCase();
  }

  draw() {
    const { wanted } = this;
    const found = this.documents.filter((saved) => !wanted || contentOf(saved).toLowerCase().includes(wanted));
    const focused = this.list.contains(document.activeElement) && /** @type {HTMLElement} */ (document.activeElement).dataset.id;
    this.list.replaceChildren(...found.map((saved) => this.newItem(saved, wanted)));
    this.buttons.find(({ dataset }) => dataset.id === focused)?.focus({ preventScroll: true });
    this.empty.hidden = found.length > 0;
    this.empty.textContent = wanted ? "No transcript contains this." : "Your recordings and files are listed here.";
  }

  get buttons() {
    return [...this.list.querySelectorAll("button")];
  }

  /** @param {string} id @returns {string | undefined} the document that is listed after this one, or before it if it is the last */
  neighbourOf(id) {
    const ids = this.buttons.map(({ dataset }) => dataset.id);
    const at = ids.indexOf(id);
    return ids[at + 1] ?? ids[at - 1];
  }

  /** @param {string | null | undefined} id of a document @returns {boolean} false if it is not shown in the list */
  focus(id) {
    const chosen = this.buttons.find(({ dataset }) => dataset.id === id);
    chosen?.focus();
    return chosen !== undefined && document.activeElement === chosen;
  }

  /**
   * @param {Saved} saved
   * @param {string} wanted
   */
  newItem(saved, wanted) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.id = saved.id;
    if (saved.id === this.openId) button.setAttribute("aria-current", "true");
    button.append(line("name", saved.name), line("facts", factsOf(saved, this.waiting.has(saved.id))));
    const snippet = wanted && snippetOf(saved, wanted);
    if (snippet) button.append(line("snippet", snippet));
    item.append(button);
    return item;
  }
}

/** @param {Saved} saved */
function contentOf({ name, segments }) {
  return [name, ...segments.map(({ text }) => text)].join("\n");
}

/**
 * @param {Saved} saved
 * @param {boolean} isWaiting
 */
function factsOf({ createdMs, durationS, state }, isWaiting) {
  const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(createdMs);
  return [date, durationS && clock(durationS), isWaiting ? "Waiting" : STATES[state]].filter((fact) => fact).join(" · ");
}

/**
 * @param {Saved} saved
 * @param {string} wanted
 */
function snippetOf({ segments }, wanted) {
  const text = segments.map((segment) => segment.text).join(" ");
  const at = text.toLowerCase().indexOf(wanted);
  if (at < 0) return "";
  const from = Math.max(0, at - SNIPPET_CHARS / 2);
  return `${from ? "…" : ""}${text.slice(from, at + wanted.length + SNIPPET_CHARS / 2)}…`;
}

/**
 * @param {string} className
 * @param {string} text
 */
function line(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}
