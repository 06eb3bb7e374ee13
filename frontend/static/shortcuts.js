/** Keyboard shortcuts: one letter each, never while the user types. */

/** @typedef {{key: string, label: string, what: string, run: () => void, isPlain?: boolean}} Shortcut */

/**
 * @param {Shortcut[]} shortcuts by `KeyboardEvent.key`; with `isPlain` false, together with Ctrl or Cmd
 * @param {HTMLElement} list is filled with their descriptions
 */
export function install(shortcuts, list) {
  document.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const isTyping = target.isContentEditable || target.matches("input:not([type=range], [type=radio], [type=checkbox]), select, textarea");
    const withModifier = event.ctrlKey || event.metaKey;
    if (isTyping || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.key === " " && target.matches("button, summary, a, input")) return; // activates it
    if (event.key.startsWith("Arrow") && target.matches("input")) return; // moves in it
    const chosen = shortcuts.find(({ key, isPlain = true }) => key === event.key && isPlain !== withModifier);
    if (!chosen) return;
    event.preventDefault();
    const repeats = withModifier || event.key.startsWith("Arrow"); // the others switch something on and off
    if (repeats || !event.repeat) chosen.run();
  });
  for (const { label, what } of shortcuts) {
    const term = document.createElement("dt");
    const key = document.createElement("kbd");
    key.textContent = label;
    term.append(key);
    const description = document.createElement("dd");
    description.textContent = what;
    list.append(term, description);
  }
}
