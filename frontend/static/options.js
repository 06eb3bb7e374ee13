/** The form of options: what the server supports, what the user chose, and what they chose last time. */

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
 * @property {string[]} languages ISO 639-1; empty while no worker is ready
 * @property {boolean} revises whether a second model can decode finals again
 */

/** Of the key terms. */
const MAX_TERMS = 200;
const MAX_TERM_CHARS = 100;
/** @type {Record<string, string>} */
const PROMPT_HINTS = {
  transcribe: "What the recording is about",
  translate: "What the recording is about",
  understand: "Describe what you hear in this audio.",
  general: "Instructions in addition to the spoken ones",
};
const RECENT_LANGUAGES = 3;
/** The modes of a second model, which is a Whisper. */
const REVISED_MODES = new Set(["transcribe", "translate"]);

export class OptionsForm {
  /**
   * @param {HTMLFormElement} form
   * @param {import("./settings.js").Settings} settings
   */
  constructor(form, settings) {
    this.form = form;
    this.settings = settings;
    this.modes = /** @type {HTMLInputElement[]} */ ([...form.querySelectorAll("input[name=mode]")]);
    this.language = /** @type {HTMLSelectElement} */ (form.querySelector("#language"));
    this.prompt = /** @type {HTMLInputElement} */ (form.querySelector("#prompt"));
    this.keyterms = /** @type {HTMLInputElement} */ (form.querySelector("#keyterms"));
    this.diarize = /** @type {HTMLInputElement} */ (form.querySelector("#diarize"));
    this.revise = /** @type {HTMLInputElement} */ (form.querySelector("#revise"));
    this.hint = /** @type {HTMLElement} */ (form.querySelector("#mode-hint"));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => this.changed());
    this.restore();
    this.fit();
  }

  /** @returns {Record<string, unknown> & {mode: string}} fields of a `start` message; without those that are unset */
  get chosen() {
    return this.chosenFor(this.mode.value);
  }

  /**
   * @param {string} mode of the text, whatever the form has
   * @returns {Record<string, unknown> & {mode: string}}
   */
  chosenFor(mode) {
    const { language, prompt, mode: _, diarize, keyterms, ...flags } = this.values;
    if (this.revise.disabled || !REVISED_MODES.has(mode)) delete flags.revise;
    const wanted = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== false && value !== ""));
    const chosen = { mode, language: language || null, prompt: String(prompt).trim() || null, ...wanted };
    if (mode !== "transcribe") return chosen;
    const terms = termsOf(String(keyterms));
    return { ...chosen, ...(diarize && { diarize }), ...(terms.length > 0 && { keyterms: terms }) };
  }

  /** What is wrong with them; empty if nothing is. @param {string} mode of the text */
  troubleOf(mode) {
    if (mode !== "transcribe") return "";
    const terms = termsOf(this.keyterms.value);
    if (terms.length > MAX_TERMS) return `There are ${terms.length} key terms in the options; the limit is ${MAX_TERMS}.`;
    const long = terms.find(({ length }) => length > MAX_TERM_CHARS);
    return long ? `The key term “${long.slice(0, 30)}…” has ${long.length} characters; the limit is ${MAX_TERM_CHARS}.` : "";
  }

  /** @returns {Record<string, string | boolean>} by name */
  get values() {
    /** @type {Record<string, string | boolean>} */
    const values = {};
    for (const field of this.fields) {
      if (field instanceof HTMLInputElement && field.type === "radio" && !field.checked) continue;
      values[field.name] = isCheckbox(field) ? checkedValue(field) : field.value;
    }
    return values;
  }

  get fields() {
    return /** @type {(HTMLInputElement | HTMLSelectElement)[]} */ (
      [...this.form.elements].filter((field) => "name" in field && field.name)
    );
  }

  restore() {
    const { options } = this.settings.choices;
    if (options.language) this.language.append(new Option(String(options.language), String(options.language)));
    for (const field of this.fields) {
      const value = options[field.name];
      if (value === undefined) continue;
      if (field instanceof HTMLInputElement && field.type === "radio") field.checked = field.value === value;
      else if (isCheckbox(field)) field.checked = Boolean(value);
      else field.value = String(value);
    }
  }

  changed() {
    const { recentLanguages } = this.settings.choices;
    const code = this.language.value;
    const recent = code ? [code, ...recentLanguages.filter((one) => one !== code)] : recentLanguages;
    this.settings.save({ options: this.values, recentLanguages: recent.slice(0, RECENT_LANGUAGES) });
    this.fit();
  }

  /** @param {ServerConfig} config */
  apply(config) {
    for (const input of this.modes) {
      const served = config.modes.find(({ name }) => name === input.value);
      input.disabled = !served?.available;
      /** @type {HTMLElement} */ (input.closest("label")).hidden = input.disabled;
    }
    if (this.mode.disabled) (this.modes.find(({ disabled }) => !disabled) ?? this.mode).checked = true;
    this.revise.disabled = !config.revises;
    /** @type {HTMLElement} */ (this.revise.closest("label")).hidden = this.revise.disabled;
    this.showMissing(config);
    if (config.model !== null) this.listLanguages(config.languages);
    this.fit();
  }

  get mode() {
    return /** @type {HTMLInputElement} */ (this.modes.find(({ checked }) => checked));
  }

  /** @param {ServerConfig} config */
  showMissing({ modes }) {
    const missing = modes.filter(({ available }) => !available);
    this.hint.hidden = missing.length === 0;
    if (missing.length === 0) return;
    const labels = missing.map(({ name }) => this.modes.find(({ value }) => value === name)?.labels?.[0].textContent?.trim());
    this.hint.textContent = `${missing[0].needs} adds: ${labels.filter((label) => label).join(", ")}.`;
  }

  /** @param {string[]} codes */
  listLanguages(codes) {
    const chosen = this.language.value;
    const names = new Intl.DisplayNames(["en"], { type: "language" });
    const option = (/** @type {string} */ code) => new Option(names.of(code) ?? code, code, false, code === chosen);
    const sorted = codes.map(option).sort((a, b) => a.text.localeCompare(b.text));
    const recent = this.settings.choices.recentLanguages.filter((code) => codes.includes(code)).map(option);
    this.language.replaceChildren(new Option("Detect", ""), ...grouped("Recent", recent), ...grouped("All", sorted));
    this.language.value = codes.includes(chosen) ? chosen : "";
  }

  /** Adapts the fields to the mode: only a transcript has speakers and key terms. */
  fit() {
    this.diarize.disabled = this.keyterms.disabled = this.mode.value !== "transcribe";
    this.prompt.placeholder = PROMPT_HINTS[this.mode.value];
  }
}

/** @param {string} text */
function termsOf(text) {
  return text.split(",").map((term) => term.trim()).filter((term) => term);
}

/**
 * @param {HTMLInputElement | HTMLSelectElement} field
 * @returns {field is HTMLInputElement}
 */
function isCheckbox(field) {
  return field instanceof HTMLInputElement && field.type === "checkbox";
}

/**
 * What a checked box stands for: its attribute `value`, or true.
 *
 * @param {HTMLInputElement} box
 */
function checkedValue(box) {
  return box.checked && (box.getAttribute("value") ?? true);
}

/**
 * @param {string} label
 * @param {HTMLOptionElement[]} options
 */
function grouped(label, options) {
  if (options.length === 0) return [];
  const group = document.createElement("optgroup");
  group.label = label;
  group.append(...options);
  return [group];
}
