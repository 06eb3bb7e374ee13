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
    /** What is shown, a line each. @type {string[]} */
    this.messages = [];
    this.retry.addEventListener("click", onRetry);
    root.querySelector("#dismiss")?.addEventListener("click", () => this.hide());
  }

  /**
   * @param {string} message
   * @param {number} [retryAfter] seconds after which a retry may succeed
   */
  show(message, retryAfter) {
    this.offerRetry(retryAfter);
    this.list([message]);
  }

  /**
   * Adds a message to those that are shown. A retry that one of them offers stays.
   *
   * @param {string} message
   * @param {number} [retryAfter] seconds after which a retry may succeed
   */
  add(message, retryAfter) {
    if (retryAfter !== undefined || !this.offersRetry) this.offerRetry(retryAfter);
    this.list([...this.messages.filter((one) => one !== message), message]);
  }

  get offersRetry() {
    return !this.root.hidden && !this.retry.hidden;
  }

  /** Removes a message, if it is still shown. @param {string} message */
  withdraw(message) {
    const left = this.messages.filter((one) => one !== message);
    if (left.length === 0) this.hide();
    else if (left.length < this.messages.length) this.list(left);
  }

  hide() {
    if (this.root.contains(document.activeElement)) this.next.focus();
    this.list([]);
  }

  /** @param {string[]} messages */
  list(messages) {
    this.messages = messages;
    this.root.hidden = messages.length === 0;
    this.text.textContent = messages.join("\n");
  }

  /** @param {number} [after] seconds after which a retry may succeed; without it, none is offered */
  offerRetry(after) {
    this.retry.hidden = after === undefined;
    this.countDown(Math.ceil(after ?? 0));
  }

  /** @param {number} seconds that the server asks to wait; the user may retry sooner */
  countDown(seconds) {
    clearTimeout(this.timer);
    this.retry.textContent = seconds > 0 ? `Try again in ${seconds} s` : "Try again";
    if (seconds > 0) this.timer = setTimeout(() => this.countDown(seconds - 1), 1000);
  }
}
