/** What the page says about the level of the microphone. Run by Node. */

import assert from "node:assert/strict";
import { test } from "node:test";

const { LevelHints } = await import(`${process.env.STATIC}/level-hints.js`);

const CHUNK_S = 0.1;

/** @param {number[]} peaks */
function lastHint(...peaks) {
  const hints = new LevelHints(CHUNK_S);
  return peaks.map((peak) => hints.add(peak)).at(-1);
}

/**
 * @param {number} seconds
 * @param {number} peak
 */
function level(seconds, peak) {
  return Array.from({ length: seconds / CHUNK_S }, () => peak);
}

test("silence is told after 5 seconds, also after speech", () => {
  assert.equal(lastHint(...level(4.9, 0)), "");
  assert.match(lastHint(...level(5, 0)), /^No sound is heard/);
  assert.match(lastHint(...level(5, 0.3), ...level(5, 0)), /^No sound is heard/);
});

test("a quiet microphone is told unless speech was heard before", () => {
  assert.match(lastHint(...level(5, 0.01)), /very quiet/);
  assert.equal(lastHint(...level(5, 0.3), ...level(5, 0.01)), "");
});

test("sound that is cut off is told, and forgotten 5 seconds later", () => {
  assert.match(lastHint(...level(5, 0.3), ...level(0.5, 1)), /too loud/);
  assert.equal(lastHint(...level(5, 0.3), ...level(0.4, 1)), "", "a knock on the microphone");
  assert.equal(lastHint(...level(0.5, 1), ...level(5, 0.3)), "");
});
