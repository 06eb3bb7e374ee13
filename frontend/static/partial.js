/** Draws the text of an event: committed text like final text, text that may still change lighter, and unsure words marked. */

/** Words with a lower confidence are marked. */
const SURE = 0.5;

/**
 * @param {HTMLElement} element
 * @param {Record<string, any>} event a `partial` or a `final`
 */
export function drawText(element, event) {
  const text = event.text.trim();
  const committed = event.committed?.text ?? "";
  if (committed && text.startsWith(committed)) {
    const settled = document.createElement("span");
    settled.className = "committed";
    settled.textContent = committed;
    element.replaceChildren(settled, text.slice(committed.length));
  } else {
    element.replaceChildren(...marked(text, event.words ?? []));
  }
  if (event.language) element.lang = event.language;
}

/**
 * The text with its unsure words marked.
 *
 * @param {string} text
 * @param {{text: string, confidence?: number}[]} words
 */
function marked(text, words) {
  /** @type {(string | HTMLElement)[]} */
  const parts = [];
  let drawn = 0;
  let at = 0;
  for (const { text: word, confidence = 1 } of words) {
    const found = text.indexOf(word, at);
    if (found < 0) continue;
    at = found + word.length;
    if (confidence >= SURE) continue;
    const unsure = document.createElement("span");
    unsure.className = "unsure";
    unsure.title = `Unsure: ${Math.round(confidence * 100)} %`;
    unsure.textContent = word;
    parts.push(text.slice(drawn, found), unsure);
    drawn = at;
  }
  return [...parts, text.slice(drawn)].filter((part) => part !== "");
}
