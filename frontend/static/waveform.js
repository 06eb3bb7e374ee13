/** Draws the level of audio as bars. */

const BAR_PX = 3;
const GAP_PX = 1;
/** Peaks are 0 to 255. Quiet speech is drawn higher than in proportion. */
const HEIGHT_POWER = 0.6;

/**
 * All peaks in the width of the canvas; the bars before `played` in the accent colour.
 *
 * @param {HTMLCanvasElement} canvas its `color` and `border-color` are those of the bars
 * @param {number[]} peaks 0 to 255
 * @param {number} played number of peaks
 */
export function drawPeaks(canvas, peaks, played) {
  const bars = barsOf(canvas);
  const share = peaks.length / bars;
  const heights = Array.from({ length: peaks.length ? bars : 0 }, (_, bar) => {
    const first = Math.floor(bar * share);
    return peaks.slice(first, Math.max(first + 1, Math.floor((bar + 1) * share))).reduce((a, b) => Math.max(a, b), 0);
  });
  draw(canvas, heights, 0, played / share);
}

/**
 * The latest peaks, the newest at the right.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} peaks 0 to 255
 */
export function drawLatest(canvas, peaks) {
  const bars = barsOf(canvas);
  const latest = peaks.slice(-bars);
  draw(canvas, latest, bars - latest.length, Infinity);
}

/** @param {HTMLCanvasElement} canvas */
function barsOf(canvas) {
  return Math.max(1, Math.floor(canvas.clientWidth / (BAR_PX + GAP_PX)));
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} peaks one for each bar
 * @param {number} first bar
 * @param {number} accented number of peaks
 */
function draw(canvas, peaks, first, accented) {
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(devicePixelRatio, devicePixelRatio);
  const { color, borderTopColor } = getComputedStyle(canvas);
  peaks.forEach((peak, at) => {
    const bar = Math.max(2, height * (peak / 255) ** HEIGHT_POWER);
    context.fillStyle = at < accented ? color : borderTopColor;
    context.fillRect((first + at) * (BAR_PX + GAP_PX), (height - bar) / 2, BAR_PX, bar);
  });
}
