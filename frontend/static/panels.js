/** The panels beside the document: the recordings and the options. Where there is no room beside it, they lie over it. */

import { button, element } from "./elements.js";

const NARROW = matchMedia("(max-width: 60rem)");
/** By the button that shows it. */
const PANELS = { "toggle-history": "history", "toggle-options": "options-panel" };

/**
 * @param {keyof typeof PANELS} buttonId
 * @param {boolean} isShown
 */
function show(buttonId, isShown) {
  element(PANELS[buttonId]).hidden = !isShown;
  button(buttonId).setAttribute("aria-expanded", String(isShown));
}

/** @param {keyof typeof PANELS} buttonId */
export function togglePanel(buttonId) {
  const isShown = Boolean(element(PANELS[buttonId]).hidden);
  if (isShown) uncover();
  show(buttonId, isShown);
}

/** Hides the panels that lie over the document. @returns {boolean} whether there were any */
export function uncover() {
  const covering = NARROW.matches ? buttonIds().filter((id) => !element(PANELS[id]).hidden) : [];
  covering.forEach((id) => show(id, false));
  return covering.length > 0;
}

/** @param {KeyboardEvent} event */
function keyPressed(event) {
  if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
  const left = buttonIds().find((id) => element(PANELS[id]).contains(document.activeElement));
  if (uncover() && left) button(left).focus();
}

const buttonIds = () => /** @type {(keyof typeof PANELS)[]} */ (Object.keys(PANELS));

for (const id of buttonIds()) button(id).addEventListener("click", () => togglePanel(id));
document.addEventListener("keydown", keyPressed);
if (!NARROW.matches) togglePanel("toggle-history");
