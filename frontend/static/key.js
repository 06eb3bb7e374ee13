/** The key that some services ask for: asked of the user, kept while the tab lives. */

const STORED_AS = "voxtral-key";

export class KeyForm {
  /** Whether the server asks for a key; it is shown to no other. */
  isNeeded = false;

  /**
   * @param {HTMLFormElement} form
   * @param {() => void} onKey
   */
  constructor(form, onKey) {
    this.form = form;
    this.input = /** @type {HTMLInputElement} */ (form.querySelector("input"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(STORED_AS, this.input.value.trim());
      this.input.value = "";
      onKey();
    });
  }

  /** What is shown to the server: empty where none is known, null where none is wanted. */
  get key() {
    return this.isNeeded ? (sessionStorage.getItem(STORED_AS) ?? "") : null;
  }

  get isShown() {
    return !this.form.hidden;
  }

  /** @param {boolean} wanted whether the server has refused the key, or has seen none */
  show(wanted) {
    if (this.form.hidden && !wanted) return;
    this.form.hidden = !wanted;
    if (wanted) {
      sessionStorage.removeItem(STORED_AS);
      this.input.focus();
    }
  }
}
