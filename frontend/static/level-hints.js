/** Tells from the levels of a recording that something is wrong with the microphone. Pure. */

const SILENCE_S = 5;
const SILENT_PEAK = 0.002;
const QUIET_PEAK = 0.03;
const CLIPPED_PEAK = 0.999;
/** Levels are judged over this time. */
const WINDOW_S = 5;
const CLIPPED_CHUNKS = 5;

export class LevelHints {
  /** @param {number} chunkS the time of one level */
  constructor(chunkS) {
    this.chunkS = chunkS;
    /** @type {number[]} */
    this.peaks = [];
    this.heard = false;
  }

  /**
   * @param {number} peak 0 to 1
   * @returns {string} empty if all is well
   */
  add(peak) {
    this.peaks.push(peak);
    const kept = Math.ceil(WINDOW_S / this.chunkS);
    if (this.peaks.length > kept) this.peaks.shift();
    const loudest = Math.max(...this.peaks);
    if (loudest >= QUIET_PEAK) this.heard = true;
    if (this.peaks.length * this.chunkS < SILENCE_S) return "";
    if (loudest < SILENT_PEAK) return "No sound is heard. Is the right microphone selected, and is it on?";
    if (!this.heard && loudest < QUIET_PEAK) return "The microphone is very quiet. Come closer, or raise its level.";
    if (this.peaks.filter((one) => one >= CLIPPED_PEAK).length >= CLIPPED_CHUNKS) {
      return "The microphone is too loud: its sound is cut off. Lower its level.";
    }
    return "";
  }
}
