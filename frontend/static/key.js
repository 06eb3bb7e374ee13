/** The API key, if the service requires one: entered by the user and kept until the tab is closed, or longer if they ask. */

const STORED_AS = "voxtral-key";

export class KeyForm {
  /** Whether the server requires a key; otherwise it is not sent. */
  isNeeded = false;

  /**
   * @param {HTMLFormElement} form
   * @param {() => void} onKey
   */
  constructor(form, onKey) {
    this.form = form;
    this.input = /** @type {HTMLInputElement} */ (form.querySelector("input[type=password]"));
    this.remember = /** @type {HTMLInputElement} */ (form.querySelector("input[type=checkbox]"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const kept = this.remember.checked ? localStorage : sessionStorage;
      kept.setItem(STORED_AS, this.input.value.trim());
      this.input.value = "";
      onKey();
    });
  }

  /** The key to send: empty if none is known, null if none is required. */
  get key() {
    return this.isNeeded ? (sessionStorage.getItem(STORED_AS) ?? localStorage.getItem(STORED_AS) ?? "") : null;
  }

  get isShown() {
    return !this.form.hidden;
  }

  /** @param {boolean} wanted whether the server has rejected the key, or has received none */
  show(wanted) {
    if (this.form.hidden && !wanted) return;
    this.form.hidden = !wanted;
    if (wanted) {
      sessionStorage.removeItem(STORED_AS);
      localStorage.removeItem(STORED_AS);
      this.input.focus();
    }
  }
}
