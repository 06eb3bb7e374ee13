/**
 * `<voxtral-captions href="https://host/captions?session=…#token=…">` shows the live captions of a session in any page.
 *
 * `lines` is the number of lines that stay (3). Colours and fonts are those of the page around it; the parts `final` and
 * `partial` can be styled.
 */

import { follow } from "./event-stream.js";
import { drawText } from "./partial.js";

const LINES = 3;
const STYLE = ":host { display: block } p { margin: 0 } .partial { opacity: 0.7 } .committed { opacity: 1 }";

export class VoxtralCaptions extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ["href"];

  constructor() {
    super();
    const style = new CSSStyleSheet();
    style.replaceSync(STYLE);
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [style];
    this.finals = newBlock("final");
    this.finals.setAttribute("role", "log");
    this.partials = newBlock("partial");
    root.append(this.finals, this.partials);
    /** @type {Map<number, HTMLElement>} */
    this.open = new Map();
    this.followed = "";
  }

  connectedCallback() {
    this.attributeChangedCallback();
  }

  attributeChangedCallback() {
    const href = this.getAttribute("href");
    if (!href || !this.isConnected || href === this.followed) return;
    this.followed = href;
    const link = new URL(href, document.baseURI);
    const session = link.searchParams.get("session") ?? "";
    const token = new URLSearchParams(link.hash.slice(1)).get("token") ?? "";
    void follow(new URL(`v1/sessions/${encodeURIComponent(session)}/events`, link).href, token, {
      onEvent: (event) => this.followed === href && this.show(event),
      onState: (state) => this.toggleAttribute("live", state === "live"),
      onEnd: () => this.tell("end"),
      onRefused: (message) => this.tell("refused", message),
    });
  }

  /** @param {Record<string, any>} event */
  show(event) {
    if (event.type === "revised") return this.revise(event);
    if (event.type !== "partial" && event.type !== "final") return;
    const line = this.open.get(event.segment) ?? document.createElement("p");
    line.dir = "auto";
    drawText(line, /** @type {any} */ (event));
    const isFinal = event.type === "final";
    (isFinal ? this.finals : this.partials).append(line);
    if (isFinal) this.open.delete(event.segment);
    else this.open.set(event.segment, line);
    line.dataset.segment = event.segment;
    if (isFinal && !event.text.trim()) line.remove();
    const kept = Number(this.getAttribute("lines")) || LINES;
    while (this.finals.childElementCount > kept) this.finals.firstElementChild?.remove();
  }

  /** @param {Record<string, any>} event another text for a final, if that is still shown */
  revise(event) {
    const line = /** @type {HTMLElement | null} */ (this.finals.querySelector(`[data-segment="${Number(event.segment)}"]`));
    if (line) drawText(line, /** @type {any} */ (event));
  }

  /**
   * @param {string} type
   * @param {string} [detail]
   */
  tell(type, detail) {
    this.partials.replaceChildren();
    this.open.clear();
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {string} part */
function newBlock(part) {
  const block = document.createElement("div");
  block.setAttribute("part", part);
  block.className = part;
  return block;
}

globalThis.customElements?.define("voxtral-captions", VoxtralCaptions);
