/** How the text of an event is drawn: what is committed as settled text, and what may still change lightly. */

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
    element.textContent = text;
  }
  if (event.language) element.lang = event.language;
}
