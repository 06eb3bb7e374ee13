/** The building blocks of the page of the API: nodes, prose, programs, and tabs. No text can become markup. */

/**
 * @param {string} tag
 * @param {...(Node | string)} children
 */
export function node(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

/**
 * @param {string} className
 * @param {string} tag
 * @param {...(Node | string)} children
 */
export function styled(className, tag, ...children) {
  const made = node(tag, ...children);
  made.className = className;
  return made;
}

/** @param {string} text @returns {Node[]} a description, in which text in backticks is code */
export function prose(text) {
  return text.trim().split("`").map((part, at) => (at % 2 ? node("code", part) : document.createTextNode(part)));
}

/** @param {string} text a path or a name, which may break after each of its parts */
export function breakable(text) {
  return text.split(/(?<=[/._])/).flatMap((part) => [part, document.createElement("wbr")]);
}

/**
 * Something that opens and closes.
 *
 * @param {(Node | string)[]} summary
 * @param {Node[]} content
 */
export function folded(summary, content) {
  return /** @type {HTMLDetailsElement} */ (node("details", node("summary", ...summary), ...content));
}

/** @param {string} text @returns {HTMLElement} code that can be copied */
export function program(text) {
  const shown = node("pre", node("code", text));
  shown.tabIndex = 0;
  if (!navigator.clipboard) return styled("program", "div", shown); // on http pages of other computers
  const copy = styled("copy", "button", "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 2000);
  });
  return styled("program", "div", shown, copy);
}

let tabLists = 0;

/**
 * Programs of which one is shown at a time. Lists of the same kind change together, and the choice is remembered.
 *
 * @param {string} label
 * @param {Record<string, string>} programs by the name of their tab
 * @param {string} [kind]
 */
export function tabs(label, programs, kind) {
  const names = Object.keys(programs);
  const prefix = `tabs-${++tabLists}`;
  const list = styled("tabs", "div");
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", label);
  const buttons = names.map((name, at) => {
    const button = node("button", name);
    for (const [key, value] of Object.entries({ role: "tab", id: `${prefix}-${at}`, "aria-controls": `${prefix}-panel-${at}` })) {
      button.setAttribute(key, value);
    }
    return button;
  });
  const panels = names.map((name, at) => {
    const panel = program(programs[name]);
    panel.id = `${prefix}-panel-${at}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `${prefix}-${at}`);
    return panel;
  });
  /** @param {number} chosen */
  const choose = (chosen) => {
    buttons.forEach((button, at) => {
      button.setAttribute("aria-selected", String(at === chosen));
      button.tabIndex = at === chosen ? 0 : -1;
      panels[at].hidden = at !== chosen;
    });
  };
  choose(Math.max(0, kind ? names.indexOf(localStorage.getItem(kind) ?? "") : 0));
  /** @param {number} chosen */
  const pick = (chosen) => {
    choose(chosen);
    if (kind) {
      localStorage.setItem(kind, names[chosen]);
      dispatchEvent(new CustomEvent(kind, { detail: names[chosen] }));
    }
  };
  if (kind) {
    addEventListener(kind, (event) => {
      const at = names.indexOf(/** @type {CustomEvent} */ (event).detail);
      if (at >= 0) choose(at);
    });
  }
  buttons.forEach((button, at) => button.addEventListener("click", () => pick(at)));
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const chosen = (buttons.findIndex((button) => button.tabIndex === 0) + step + names.length) % names.length;
    pick(chosen);
    buttons[chosen].focus();
  });
  list.append(...buttons);
  return styled("examples", "div", list, ...panels);
}
