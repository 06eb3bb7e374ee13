/** The form: what the server supports, and what the user chose. */

/**
 * @typedef {object} ServerConfig the content of `config.json`
 * @property {number} sample_rate
 * @property {number} chunk_size
 * @property {number} max_file_bytes
 * @property {string} page_token
 * @property {boolean} key_needed
 * @property {string | null} model null while no worker is ready
 * @property {string | null} device
 * @property {{name: string, available: boolean, needs: string}[]} modes
 * @property {string[]} languages ISO 639-1
 */

const PROMPT_HINTS = {
  transcribe: "Names and terms to expect",
  understand: "Describe what you hear in this audio.",
  general: "Instructions in addition to the spoken ones",
};

export class OptionsForm {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.form = form;
    this.modes = /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input[name=mode]")]);
    this.language = /** @type {HTMLSelectElement} */ (form.querySelector("#language"));
    this.prompt = /** @type {HTMLInputElement} */ (form.querySelector("#prompt"));
    this.hint = /** @type {HTMLElement} */ (form.querySelector("#mode-hint"));
    this.fields = /** @type {HTMLFieldSetElement} */ (form.querySelector("#options"));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => this.showPromptHint());
    this.showPromptHint();
  }

  /** @returns {import("./work.js").Options} */
  get chosen() {
    return {
      mode: this.mode.value,
      language: this.language.value || null,
      prompt: this.prompt.value.trim() || null,
    };
  }

  /** @param {boolean} locked whether nothing may be changed now */
  lock(locked) {
    this.fields.disabled = locked;
  }

  /** @param {ServerConfig} config */
  apply(config) {
    for (const { name, available } of config.modes) {
      const input = this.modes.find(({ value }) => value === name);
      if (!input) continue;
      input.disabled = !available;
      input.parentElement?.classList.toggle("unavailable", !available);
    }
    if (this.mode.disabled) (this.modes.find(({ disabled }) => !disabled) ?? this.mode).checked = true;
    this.showMissing(config);
    this.listLanguages(config.languages);
    this.showPromptHint();
  }

  get mode() {
    return /** @type {HTMLInputElement} */ (this.modes.find(({ checked }) => checked));
  }

  /** @param {ServerConfig} config */
  showMissing({ model, modes }) {
    const missing = modes.filter(({ available }) => !available);
    this.hint.hidden = missing.length === 0;
    if (missing.length === 0) return;
    const names = missing.map(({ name }) => name[0].toUpperCase() + name.slice(1)).join(" and ");
    this.hint.textContent = `${names} need ${missing[0].needs}; this server runs ${model}.`;
  }

  /** @param {string[]} codes */
  listLanguages(codes) {
    const chosen = this.language.value;
    const names = new Intl.DisplayNames(["en"], { type: "language" });
    const sorted = codes
      .map((code) => ({ code, name: names.of(code) ?? code }))
      .sort((a, b) => a.name.localeCompare(b.name));
    this.language.replaceChildren(
      new Option("Detect", ""),
      ...sorted.map(({ code, name }) => new Option(name, code, false, code === chosen)),
    );
  }

  showPromptHint() {
    this.prompt.placeholder = PROMPT_HINTS[/** @type {keyof typeof PROMPT_HINTS} */ (this.mode.value)];
  }
}
