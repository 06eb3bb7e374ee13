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
    this.following = new AbortController();
  }

  connectedCallback() {
    this.attributeChangedCallback();
  }

  disconnectedCallback() {
    this.attributeChangedCallback();
  }

  /** Follows the session of the link, and no other one; none while the element is in no page. */
  attributeChangedCallback() {
    const href = (this.isConnected && this.getAttribute("href")) || "";
    if (href === this.followed) return;
    this.followed = href;
    this.following.abort();
    this.following = new AbortController();
    this.removeAttribute("live");
    this.finals.replaceChildren();
    this.dropPartials();
    if (href) this.follow(new URL(href, document.baseURI));
  }

  /** @param {URL} link */
  follow(link) {
    const session = link.searchParams.get("session") ?? "";
    const token = new URLSearchParams(link.hash.slice(1)).get("token") ?? "";
    const handlers = {
      onEvent: (/** @type {Record<string, any>} */ event) => this.show(event),
      onState: (/** @type {string} */ state) => this.toggleAttribute("live", state === "live"),
      onEnd: () => this.tell("end"),
      onRefused: (/** @type {string} */ message) => this.tell("refused", message),
    };
    const url = new URL(`v1/sessions/${encodeURIComponent(session)}/events`, link).href;
    void follow(url, token, handlers, this.following.signal);
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

  dropPartials() {
    this.partials.replaceChildren();
    this.open.clear();
  }

  /**
   * @param {string} type
   * @param {string} [detail]
   */
  tell(type, detail) {
    this.dropPartials();
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
