/** The actions on the open document. */

import { button, element, input } from "./elements.js";
import { FORMATS, fileName } from "./exports.js";
import { saveText } from "./files.js";
import { Finder } from "./find.js";

const COPIED_SHOWN_MS = 1500;
const UNDO_SHOWN_MS = 10000;

export class Toolbar {
  /**
   * @param {import("./workspace.js").Workspace} workspace
   * @param {{onContinue: () => void, onAgain: () => void}} handlers
   */
  constructor(workspace, handlers) {
    this.workspace = workspace;
    this.finder = new Finder(workspace);
    /** What can be undone, the latest last. @type {{text: string, undo: () => void}[]} */
    this.toasts = [];
    button("continue").addEventListener("click", handlers.onContinue);
    button("again").addEventListener("click", handlers.onAgain);
    button("edit").addEventListener("click", () => {
      workspace.view.setEditing(!workspace.view.isEditing);
      this.update();
    });
    button("undo").addEventListener("click", () => this.undo());
    button("show-find").addEventListener("click", () => this.showFind(Boolean(element("find").hidden)));
    button("copy").addEventListener("click", () => void this.copy());
    button("clear").addEventListener("click", () => this.clear());
    button("delete").addEventListener("click", () => void this.remove());
    button("toast-undo").addEventListener("click", () => {
      const latest = this.toasts.at(-1);
      latest?.undo();
      this.endToast(latest);
    });
    button("copy").hidden = !navigator.clipboard;
    closeWhenLeft(/** @type {HTMLDetailsElement} */ (element("export")));
    element("formats").append(...Object.entries(FORMATS).map(([suffix, { label }]) => this.newFormat(suffix, label)));
  }

  /** Shows what can be done with the open document. */
  update() {
    const { open, player, view, isBusy } = this.workspace;
    const saved = open?.saved;
    this.finder.update();
    button("undo").disabled = isBusy || !open?.done.length;
    button("edit").disabled = isBusy;
    button("edit").setAttribute("aria-pressed", String(view.isEditing));
    button("edit").textContent = view.isEditing ? "Done" : "Edit";
    button("clear").disabled = button("show-find").disabled = isBusy;
    button("delete").disabled = isBusy && !(saved && this.workspace.jobs.isWaiting(saved.id));
    button("continue").hidden = isBusy || saved?.kind !== "recording" || !player.isLoaded;
    button("again").hidden = isBusy || !player.isLoaded;
  }

  undo() {
    this.workspace.changeText((open) => open.undo());
  }

  redo() {
    this.workspace.changeText((open) => open.redo());
  }

  /** @param {boolean} isShown */
  showFind(isShown) {
    element("find").hidden = !isShown;
    button("show-find").setAttribute("aria-expanded", String(isShown));
    this.finder.search();
    if (isShown) input("found").focus();
  }

  async copy() {
    await navigator.clipboard.writeText(FORMATS.txt.write(/** @type {any} */ (this.workspace.open?.saved)));
    button("copy").textContent = "Copied";
    setTimeout(() => (button("copy").textContent = "Copy"), COPIED_SHOWN_MS);
  }

  /**
   * @param {string} suffix
   * @param {string} label
   */
  newFormat(suffix, label) {
    const item = document.createElement("li");
    const chosen = document.createElement("button");
    chosen.type = "button";
    chosen.textContent = label;
    chosen.addEventListener("click", () => this.save(suffix));
    item.append(chosen);
    return item;
  }

  /** @param {string} suffix */
  save(suffix) {
    const saved = this.workspace.open?.saved;
    if (saved) saveText(fileName(saved, suffix), FORMATS[suffix].write(saved));
    element("export").removeAttribute("open");
  }

  clear() {
    const { open } = this.workspace;
    if (!open) return;
    this.workspace.changeText(() => open.clear());
    const cleared = open.segments;
    this.showToast("The text was cleared.", () => {
      if (this.workspace.known.get(open.saved.id) !== open) return; // another tab has changed or deleted it
      void this.workspace.show(open);
      if (open.segments === cleared) this.undo(); // not undone by other means
    });
  }

  /** Deletes the document; its audio and text are removed when the time to undo is over. */
  async remove() {
    const { open, history } = this.workspace;
    const next = open && history.neighbourOf(open.saved.id);
    if (!open || !(await this.workspace.hide(open))) return;
    if (!history.focus(next)) focusTranscript();
    const removal = setTimeout(() => void this.workspace.remove(open), UNDO_SHOWN_MS);
    this.showToast(`“${open.saved.name}” was deleted.`, () => {
      clearTimeout(removal);
      void this.workspace.bringBack(open);
    });
  }

  /**
   * Shows what can be undone for a while. What was shown before follows it, if there is time left.
   *
   * @param {string} text
   * @param {() => void} undo
   */
  showToast(text, undo) {
    const toast = { text, undo };
    this.toasts.push(toast);
    setTimeout(() => this.endToast(toast), UNDO_SHOWN_MS);
    this.drawToast();
  }

  /** @param {{text: string, undo: () => void} | undefined} toast */
  endToast(toast) {
    this.toasts = this.toasts.filter((one) => one !== toast);
    this.drawToast();
  }

  drawToast() {
    const latest = this.toasts.at(-1);
    if (!latest && element("toast").contains(document.activeElement)) focusTranscript();
    element("toast").hidden = !latest;
    if (latest && element("toast-text").textContent !== latest.text) element("toast-text").textContent = latest.text;
  }
}

/** Otherwise the focus of an element that is hidden is lost. */
function focusTranscript() {
  element("transcript").focus({ preventScroll: true });
}

/** @param {HTMLDetailsElement} menu is closed by Escape, by a click elsewhere and when the focus moves elsewhere */
function closeWhenLeft(menu) {
  const left = (/** @type {EventTarget | null} */ to) => {
    if (to instanceof Node && !menu.contains(to)) menu.open = false;
  };
  document.addEventListener("pointerdown", ({ target }) => left(target));
  document.addEventListener("focusin", ({ target }) => left(target));
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary")?.focus();
  });
}
