/** Draws the text of an event or segment: committed text like final text, text that may still change lighter, unsure words marked. */

/** Words with a lower confidence are marked. */
const SURE = 0.5;

/** @typedef {{text: string, start?: number, end?: number, confidence?: number}} Word */

/**
 * @param {HTMLElement} element
 * @param {{text: string, committed?: {text: string}, words?: Word[], language?: string}} event a `partial`, a `final`, or a
 *   segment of a document
 * @param {{isTimed?: boolean}} [choice] whether each word becomes an element that has its time
 */
export function drawText(element, event, { isTimed = false } = {}) {
  const text = event.text.trim();
  const committed = event.committed?.text ?? "";
  if (committed && text.startsWith(committed)) {
    const settled = document.createElement("span");
    settled.className = "committed";
    settled.textContent = committed;
    element.replaceChildren(settled, text.slice(committed.length));
  } else {
    element.replaceChildren(...marked(text, event.words ?? [], isTimed));
  }
  if (event.language) element.lang = event.language;
}

/**
 * The text with its unsure words marked.
 *
 * @param {string} text
 * @param {Word[]} words
 * @param {boolean} isTimed
 */
function marked(text, words, isTimed) {
  /** @type {(string | HTMLElement)[]} */
  const parts = [];
  let drawn = 0;
  let at = 0;
  for (const word of words) {
    const written = word.text.trim();
    const found = text.indexOf(written, at);
    if (found < 0) continue;
    at = found + written.length;
    const isUnsure = (word.confidence ?? 1) < SURE;
    if (!isUnsure && !isTimed) continue;
    parts.push(text.slice(drawn, found), drawnWord(written, word, isUnsure, isTimed));
    drawn = at;
  }
  return [...parts, text.slice(drawn)].filter((part) => part !== "");
}

/**
 * @param {string} written
 * @param {Word} word
 * @param {boolean} isUnsure
 * @param {boolean} isTimed
 */
function drawnWord(written, { start, end, confidence = 1 }, isUnsure, isTimed) {
  const drawn = document.createElement("span");
  drawn.textContent = written;
  if (isUnsure) {
    drawn.className = "unsure";
    drawn.title = `Unsure: ${Math.round(confidence * 100)} %`;
  }
  if (isTimed) {
    drawn.dataset.start = String(start);
    drawn.dataset.end = String(end);
  }
  return drawn;
}
