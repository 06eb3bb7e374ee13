/** QR codes are those of another implementation. Run by Node. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

const { qrCode } = await import(`${process.env.STATIC}/qr-code.js`);

/** Of n letters "x" with the mask n % 8, which fill a version each: the hash of the modules that segno 1.6.6 makes. */
const HASHES = {
  14: "400be42d20a6884a",
  26: "44dbd536a8d3338b",
  42: "a8bae697446ddaa6",
  62: "ea0b6d510d0ce723",
  84: "f3be8299349ec550",
  106: "69d684faa026188f",
  122: "9de7703e7189e883",
  152: "8216411ad53f340a",
  180: "1231b79f617c76ea",
  213: "919daa13cee1a6ec",
  251: "e89877096db6cd51",
  287: "8d48dd7809b7a8a7",
  331: "531633ef22663acb",
  362: "6d4a6be717d065b1",
  412: "2780b72526480eb5",
};

const printed = (modules) => modules.map((row) => row.map((isDark) => (isDark ? 1 : 0)).join("")).join("\n");

for (const [count, hash] of Object.entries(HASHES)) {
  test(`${count} bytes`, () => {
    const modules = printed(qrCode("x".repeat(Number(count)), count % 8));
    assert.equal(createHash("sha256").update(modules).digest("hex").slice(0, 16), hash);
  });
}

test("a text that is too long is an error", () => {
  assert.throws(() => qrCode("x".repeat(413)), /holds up to 412 bytes; the text has 413/);
});

test("the chosen mask is one of the eight", () => {
  const text = "https://voice.example/captions?session=0123#token=é";
  assert.ok([0, 1, 2, 3, 4, 5, 6, 7].map((mask) => printed(qrCode(text, mask))).includes(printed(qrCode(text))));
});
