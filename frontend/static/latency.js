/** The latest latencies, and their median. */

const KEPT = 500;

export class LatencyWindow {
  constructor() {
    /** @type {number[]} milliseconds, oldest first */
    this.values = [];
  }

  /** @param {number} ms */
  add(ms) {
    this.values.push(ms);
    if (this.values.length > KEPT) this.values.shift();
  }

  get median() {
    return [...this.values].sort((a, b) => a - b)[Math.floor(this.values.length / 2)];
  }
}
