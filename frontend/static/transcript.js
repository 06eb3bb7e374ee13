/** The transcript on the page: final segments, segments that may still change, and both as files. */

import { drawText } from "./partial.js";

/**
 * @typedef {object} Segment
 * @property {number} start seconds since the transcript began
 * @property {number} end
 * @property {string} text
 */

export class Transcript {
  /**
   * @param {{scroller: HTMLElement, finals: HTMLElement, partials: HTMLElement, empty: HTMLElement}} elements
   * @param {() => void} onChange
   */
  constructor(elements, onChange) {
    this.elements = elements;
    this.onChange = onChange;
    /** @type {Segment[]} */
    this.settled = [];
    /** @type {Map<number, HTMLElement>} the shown partial of each open segment */
    this.open = new Map();
    /** Where the current recording begins, in seconds: each one continues where the previous one ended. */
    this.offset = 0;
  }

  get isEmpty() {
    return this.settled.length === 0;
  }

  /** The next events belong to a new recording. */
  begin() {
    this.dropPartials();
    this.offset = this.settled.at(-1)?.end ?? 0;
  }

  /** @param {Record<string, any>} event a `partial` */
  showPartial(event) {
    let row = this.open.get(event.segment);
    if (!row) {
      row = newRow(this.offset + (event.start ?? 0));
      this.open.set(event.segment, row);
      this.elements.partials.append(row);
    }
    this.fill(row, event);
  }

  /** @param {Record<string, any>} event a `final`; one without text only removes its partial */
  showFinal(event) {
    this.open.get(event.segment)?.remove();
    this.open.delete(event.segment);
    const text = event.text.trim();
    if (text) {
      const segment = { start: this.offset + (event.start ?? 0), end: this.offset + (event.end ?? 0), text };
      this.settled.push(segment);
      const row = newRow(segment.start);
      this.fill(row, event);
      this.elements.finals.append(row);
      this.scrollToEnd();
    }
    this.changed();
  }

  /** Removes text that did not become final. */
  dropPartials() {
    this.open.clear();
    this.elements.partials.replaceChildren();
    this.changed();
  }

  clear() {
    this.settled = [];
    this.elements.finals.replaceChildren();
    this.dropPartials();
    this.offset = 0;
  }

  toText() {
    return this.settled.map(({ text }) => text + "\n").join("");
  }

  toSrt() {
    return this.settled
      .map(({ start, end, text }, index) => `${index + 1}\n${srtTime(start)} --> ${srtTime(end)}\n${text}\n\n`)
      .join("");
  }

  /**
   * @param {HTMLElement} row
   * @param {Record<string, any>} event
   */
  fill(row, event) {
    drawText(/** @type {HTMLElement} */ (row.lastElementChild), event);
    this.scrollToEnd();
  }

  /** Scrolls to the newest text, unless the reader has scrolled back. */
  scrollToEnd() {
    this.changed();
    const { scroller } = this.elements;
    const behind = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    if (behind < 160) scroller.scrollTop = scroller.scrollHeight;
  }

  changed() {
    this.elements.empty.hidden = !this.isEmpty || this.open.size > 0;
    this.onChange();
  }
}

/** @param {number} start seconds */
function newRow(start) {
  const row = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = clock(start);
  const text = document.createElement("p");
  text.dir = "auto";
  row.append(time, text);
  return row;
}

/**
 * Seconds as 1:02 or 1:01:02.
 *
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const tail = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** @param {number} seconds */
function srtTime(seconds) {
  return new Date(Math.round(seconds * 1000)).toISOString().slice(11, 23).replace(".", ",");
}
