/** The line that shows an error and offers a retry. */

export class Notice {
  /**
   * @param {HTMLElement} root with a `[role=alert]`, a `#retry` and a `#dismiss`
   * @param {HTMLElement} next gets the focus if it was on a button that disappears
   * @param {() => void} onRetry
   */
  constructor(root, next, onRetry) {
    this.root = root;
    this.next = next;
    this.text = /** @type {HTMLElement} */ (root.querySelector("[role=alert]"));
    this.retry = /** @type {HTMLElement} */ (root.querySelector("#retry"));
    this.timer = 0;
    this.retry.addEventListener("click", onRetry);
    root.querySelector("#dismiss")?.addEventListener("click", () => this.hide());
  }

  /**
   * @param {string} message
   * @param {number} [retryAfter] seconds after which a retry may succeed
   */
  show(message, retryAfter) {
    this.root.hidden = false;
    this.text.textContent = message;
    this.retry.hidden = retryAfter === undefined;
    this.countDown(Math.ceil(retryAfter ?? 0));
  }

  /**
   * Adds a message to those that are shown.
   *
   * @param {string} message
   * @param {number} [retryAfter] seconds after which a retry may succeed
   */
  add(message, retryAfter) {
    const shown = this.root.hidden ? [] : (this.text.textContent ?? "").split("\n");
    this.show([...shown.filter((one) => one !== message), message].join("\n"), retryAfter);
  }

  get offersRetry() {
    return !this.root.hidden && !this.retry.hidden;
  }

  /** Hides a message, unless another one has taken its place. @param {string} message */
  withdraw(message) {
    if (this.text.textContent === message) this.hide();
  }

  hide() {
    if (this.root.contains(document.activeElement)) this.next.focus();
    this.root.hidden = true;
    this.text.textContent = "";
  }

  /** @param {number} seconds that the server asks to wait; the user may retry sooner */
  countDown(seconds) {
    clearTimeout(this.timer);
    this.retry.textContent = seconds > 0 ? `Try again in ${seconds} s` : "Try again";
    if (seconds > 0) this.timer = setTimeout(() => this.countDown(seconds - 1), 1000);
  }
}
