/** What the page makes of files with several channels. Run by Node. */

import assert from "node:assert/strict";
import { test } from "node:test";

const { mixToMono } = await import(`${process.env.STATIC}/downmix.js`);

const RATE_HZ = 8000;
const SECONDS = 2;

/** @param {(seconds: number) => number} wave */
const channel = (wave) => Float32Array.from({ length: SECONDS * RATE_HZ + 1 }, (_, index) => wave(index / RATE_HZ));
const tone = channel((s) => Math.sin(2 * Math.PI * 440 * s) / 2);
const other = channel((s) => Math.sin(2 * Math.PI * 1000 * s) / 4);
const silence = channel(() => 0);

/**
 * @param {Float32Array} found
 * @param {Float32Array} wanted
 */
function assertNear(found, wanted) {
  assert.equal(found.length, wanted.length);
  found.forEach((sample, index) => assert.ok(Math.abs(sample - wanted[index]) < 1e-6, `sample ${index}`));
}

test("different channels give their mean", () => {
  assertNear(mixToMono([tone, other], RATE_HZ), tone.map((sample, index) => (sample + other[index]) / 2));
  assertNear(mixToMono([tone], RATE_HZ), tone);
});

test("a silent channel makes the others no quieter", () => {
  assertNear(mixToMono([silence, tone], RATE_HZ), tone);
  assertNear(mixToMono([silence, silence], RATE_HZ), silence);
});

test("channels that cancel each other give the louder one", () => {
  assertNear(mixToMono([tone.map((sample) => -0.9 * sample), tone], RATE_HZ), tone);
});

test("a channel that was once heard keeps its share", () => {
  const half = tone.map((sample, index) => (index < RATE_HZ ? sample : 0));
  const mixed = mixToMono([half, other], RATE_HZ);
  assertNear(mixed.subarray(RATE_HZ), other.subarray(RATE_HZ).map((sample) => sample / 2));
});
