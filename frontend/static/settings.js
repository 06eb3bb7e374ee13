/** What the user chose on the page, kept in this browser. Keys are not among it. */

const STORED_AS = "voxtral-settings";

/**
 * @typedef {object} Choices
 * @property {Record<string, string | boolean>} options values of the options form by the names of its fields
 * @property {string[]} recentLanguages codes, the latest first
 * @property {string} deviceId of the microphone; empty for the browser's choice
 * @property {number} boundMegabytes of audio that is kept
 * @property {number} rate of the player
 */

/** @type {Choices} */
const DEFAULTS = { options: {}, recentLanguages: [], deviceId: "", boundMegabytes: 500, rate: 1 };

export class Settings {
  constructor() {
    /** @type {Choices} */
    this.choices = { ...DEFAULTS };
    try {
      Object.assign(this.choices, JSON.parse(localStorage.getItem(STORED_AS) ?? "{}"));
    } catch {
      // Storage is off, or holds something else: the defaults apply.
    }
  }

  /** @param {Partial<Choices>} changed */
  save(changed) {
    Object.assign(this.choices, changed);
    try {
      localStorage.setItem(STORED_AS, JSON.stringify(this.choices));
    } catch {
      // Storage is off: the choices last as long as the page.
    }
  }
}
