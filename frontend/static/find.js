/** Finds text in the open document, marks its places, goes from one to the next, and replaces them all. */

import { patternOf } from "./edits.js";
import { element, input } from "./elements.js";

export class Finder {
  /** @param {import("./workspace.js").Workspace} workspace */
  constructor(workspace) {
    this.workspace = workspace;
    /** @type {Range[]} */
    this.places = [];
    this.current = -1;
    /** The document that is searched. @type {import("./transcript-document.js").TranscriptDocument | null} */
    this.searched = null;
    input("found").addEventListener("input", () => this.search());
    input("found").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault(); // it does not replace
      this.go(event.shiftKey ? -1 : 1);
    });
    element("find-next").addEventListener("click", () => this.go(1));
    element("find").addEventListener("submit", (event) => this.replace(event));
  }

  /** Searches from the beginning. */
  search() {
    this.searched = this.workspace.open;
    this.current = -1;
    this.mark();
    this.showCount();
  }

  /** Marks the places again: the document was drawn. */
  update() {
    if (element("find").hidden) return; // it is searched when it is shown
    if (this.searched !== this.workspace.open) return this.search();
    const { length } = this.places;
    this.mark();
    if (this.places.length !== length) this.showCount();
  }

  showCount() {
    const { length } = this.places;
    const places = length === 1 ? "1 place" : `${length} places`;
    const count = this.current < 0 ? places : `${this.current + 1} of ${length}`;
    element("found-count").textContent = input("found").value ? count : "";
  }

  mark() {
    const found = element("find").hidden ? "" : input("found").value;
    this.places = found ? placesIn(element("finals"), patternOf(found)) : [];
    this.current = Math.min(this.current, this.places.length - 1);
    CSS.highlights?.set("found", new Highlight(...this.places)); // an older browser only scrolls to the places
    this.markCurrent();
  }

  markCurrent() {
    CSS.highlights?.set("found-current", new Highlight(...this.places.filter((_, at) => at === this.current)));
  }

  /** @param {number} step 1 to the next place, -1 to the one before */
  go(step) {
    const { length } = this.places;
    if (length === 0) return;
    this.current = this.current < 0 && step < 0 ? length - 1 : (this.current + step + length) % length;
    this.markCurrent();
    this.places[this.current].startContainer.parentElement?.scrollIntoView({ block: "center" });
    this.showCount();
  }

  /** @param {Event} event */
  replace(event) {
    event.preventDefault();
    const count = this.workspace.changeText((open) => open.replaceAll(input("found").value, input("replacement").value)) ?? 0;
    element("found-count").textContent = count === 1 ? "1 place replaced" : `${count} places replaced`;
  }
}

/**
 * @param {HTMLElement} root
 * @param {RegExp} pattern
 */
function placesIn(root, pattern) {
  return [...root.querySelectorAll("p")].flatMap((text) =>
    [...(text.textContent ?? "").matchAll(pattern)].map((match) => rangeOf(text, match.index, match.index + match[0].length)),
  );
}

/**
 * @param {HTMLElement} text
 * @param {number} start of the characters
 * @param {number} end
 */
function rangeOf(text, start, end) {
  const range = document.createRange();
  const nodes = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
  let at = 0;
  for (let node = nodes.nextNode(); node && at < end; node = nodes.nextNode()) {
    const length = node.textContent?.length ?? 0;
    if (start >= at && start < at + length) range.setStart(node, start - at);
    if (end <= at + length) range.setEnd(node, end - at);
    at += length;
  }
  return range;
}
