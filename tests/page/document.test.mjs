/** The model of the page: documents, edits, exports and the log of audio. Run by Node. */

import assert from "node:assert/strict";
import { test } from "node:test";

const page = (name) => import(`${process.env.STATIC}/${name}`);
const { AudioLog, wavOf } = await page("audio-log.js");
const { wordsAfterEdit } = await page("edits.js");
const { asJson, asMarkdown, asSrt, asText, asVtt, cues, fileName } = await page("exports.js");
const { TranscriptDocument, interrupted } = await page("transcript-document.js");

const RATE_HZ = 16000;
const newDocument = () =>
  TranscriptDocument.create({ name: "talk.mp3", kind: "file", mode: "transcribe" }, { id: "d", createdMs: 0 });
const words = (...texts) => texts.map((text, at) => ({ text, start: at, end: at + 0.5 }));
const final = (segment, text, start, end, more = {}) => ({ type: "final", segment, text, start, end, ...more });

/** A document with these segments. */
function documentWith(...finals) {
  const document = newDocument();
  document.begin(0);
  for (const event of finals) document.apply(event);
  return document;
}

test("a final replaces the partials of its segment", () => {
  const document = documentWith({ type: "partial", segment: 0, text: " Hel", start: 0, end: 1 });
  assert.equal([...document.open.values()][0].text, "Hel");
  document.apply(final(0, " Hello.", 0, 1));
  assert.equal(document.open.size, 0);
  assert.deepEqual(document.segments.map(({ text }) => text), ["Hello."]);
  assert.equal(document.settledS, 1);
});

test("text of a lost session is kept, and is replaced when its audio is heard again", () => {
  const document = documentWith(final(0, "One.", 0, 1), { type: "partial", segment: 1, text: "Tw", start: 1.5, end: 2 });
  document.lose();
  assert.deepEqual(document.segments.map(({ text, isUnsettled }) => [text, isUnsettled]), [["One.", undefined], ["Tw", true]]);
  assert.equal(document.settledS, 1);
  document.begin(1);
  document.apply(final(0, "Two.", 0.5, 1, { words: words("Two.") }));
  assert.deepEqual(document.segments.map(({ text, start }) => [text, start]), [["One.", 0], ["Two.", 1.5]]);
  assert.equal(document.segments[1].words[0].start, 1);
  assert.equal(new Set(document.segments.map(({ id }) => id)).size, 2);
});

test("finals are ordered by time, whatever order they arrive in", () => {
  const document = documentWith(final(1, "Second.", 2, 3, { channel: 1 }), final(0, "First.", 0, 1, { channel: 0 }));
  assert.equal(document.text, "First.\nSecond.");
});

test("a revised text replaces its segment unless the user has edited it", () => {
  const document = documentWith(final(0, "Wun.", 0, 1), final(1, "Too.", 1, 2));
  document.edit("1.1", "Two!");
  document.apply({ ...final(0, "One.", 0, 1), type: "revised" });
  document.apply({ ...final(1, "Two.", 1, 2), type: "revised" });
  assert.equal(document.text, "One.\nTwo!");
});

test("a revised text has its own speakers and language", () => {
  const document = documentWith(final(0, "Wun too.", 0, 2, { speaker: "A", language: "de", words: words("Wun", "too.") }));
  document.apply({ ...final(0, "One two.", 0, 2, { speaker_unsure: true }), type: "revised" });
  const { speaker, isUnsure, language, words: revised } = document.segments[0];
  assert.deepEqual([speaker, isUnsure, language, revised], [undefined, true, undefined, []]);
});

test("speakers of finals change by an event of their own", () => {
  const document = documentWith(final(0, "Hello.", 0, 1, { speaker: "A" }), final(1, "Hi.", 1, 2, { speaker: "A" }));
  document.apply({ type: "speakers", segments: [{ segment: 1, speaker: "B" }] });
  assert.deepEqual(document.segments.map(({ speaker }) => speaker), ["A", "B"]);
});

test("words that an edit leaves keep their times", () => {
  const before = words("the", "quik", "brown", "fox");
  const after = wordsAfterEdit(before, "the quick red brown fox", { start: 0, end: 4 });
  assert.deepEqual(after.map(({ text }) => text), ["the", "quick", "red", "brown", "fox"]);
  assert.deepEqual([after[0], after[3], after[4]], [before[0], before[2], before[3]]);
  assert.equal(after[1].start, 0.5);
  assert.equal(after[2].end, 2);
  assert.ok(after[1].end > after[2].end - after[1].end);
  assert.deepEqual(wordsAfterEdit([], "anything", { start: 0, end: 1 }), []);
});

test("words are always in order and inside their segment", () => {
  const before = words("a", "b", "a", "c", "b");
  for (const text of ["a", "b a b", "x a y b z c w", "c c c", "b b", "a b a c b"]) {
    const after = wordsAfterEdit(before, text, { start: 0, end: 5 });
    assert.equal(after.map((word) => word.text).join(" "), text);
    const times = after.flatMap(({ start, end }) => [start, end]);
    assert.deepEqual(times, [...times].sort((one, other) => one - other), text);
    assert.ok(times[0] >= 0 && times[times.length - 1] <= 5);
  }
});

test("edits, replacements and clearing can be undone and redone", () => {
  const document = documentWith(final(0, "My cat. My Cat.", 0, 1), final(1, "A dog.", 1, 2));
  assert.equal(document.replaceAll("cat", "cow"), 2);
  assert.equal(document.replaceAll("(", "x"), 0);
  document.edit("1.1", "");
  assert.equal(document.text, "My cow. My cow.");
  document.clear();
  assert.equal(document.text, "");
  assert.ok(document.undo() && document.undo());
  assert.equal(document.text, "My cow. My cow.\nA dog.");
  assert.ok(document.undo());
  assert.equal(document.text, "My cat. My Cat.\nA dog.");
  assert.equal(document.undo(), false);
  assert.ok(document.redo() && document.redo() && document.redo());
  assert.equal(document.text, "");
  assert.equal(document.redo(), false);
});

test("what is typed at one place is undone at once, and words that are typed again keep their times", () => {
  const document = documentWith(final(0, "One two.", 0, 2, { words: words("One", "two.") }), final(1, "Three.", 2, 3));
  const step = {};
  document.edit("1.0", "One t", step);
  document.edit("1.0", "One two. ", step);
  assert.deepEqual(document.segments[0].words, words("One", "two."));
  document.edit("1.0", "One too.", step);
  document.edit("1.1", "Tree.", {});
  document.undo();
  assert.equal(document.text, "One too.\nThree.");
  document.edit("1.0", "On too.", step);
  document.undo();
  assert.equal(document.text, "One too.\nThree.");
  document.undo();
  assert.equal(document.text, "One two.\nThree.");
  assert.equal(document.undo(), false);
});

test("a text that is typed again as it was leaves nothing to undo", () => {
  const document = documentWith(final(0, "One.", 0, 1, { words: words("One.") }));
  const [before] = document.segments;
  const step = {};
  document.edit("1.0", "One. Two.", step);
  document.edit("1.0", "One.", step);
  assert.equal(document.segments[0], before);
  assert.equal(document.undo(), false);
  document.edit("1.0", "Three.", step);
  document.undo();
  assert.equal(document.text, "One.");
  assert.equal(document.undo(), false);
});

test("names of speakers are undone in their turn, and leave the text as it is", () => {
  const document = documentWith(final(0, "One.", 0, 1, { speaker: "A" }));
  document.edit("1.0", "Won.");
  document.renameSpeaker("A", " Ann ");
  document.renameSpeaker("A", "Ann");
  document.apply(final(1, "Two.", 1, 2));
  document.renameSpeaker("A", "");
  assert.deepEqual(document.saved.speakers, {});
  document.undo();
  assert.deepEqual([document.text, document.saved.speakers], ["Won.\nTwo.", { A: "Ann" }]);
  document.undo();
  assert.deepEqual([document.text, document.saved.speakers], ["Won.\nTwo.", {}]);
  document.redo();
  assert.deepEqual([document.text, document.saved.speakers], ["Won.\nTwo.", { A: "Ann" }]);
  document.startAgain();
  document.renameSpeaker("A", "Anna");
  document.interrupt();
  document.undo();
  assert.deepEqual([document.text, document.saved.speakers], ["Won.\nTwo.", { A: "Ann" }]);
});

test("a text comes back if its audio cannot be transcribed again", () => {
  const document = documentWith(final(0, "Won.", 0, 1), final(1, "Two.", 1, 2));
  document.finish();
  document.edit("1.0", "One.");
  const again = () => {
    document.startAgain();
    document.begin(0);
    document.apply(final(0, "Other.", 0, 1));
  };
  again();
  assert.deepEqual(interrupted(structuredClone(document.stored)).segments.map(({ text }) => text), ["One.", "Two."]);
  document.interrupt();
  assert.deepEqual([document.text, document.saved.state, document.saved.former], ["One.\nTwo.", "done", undefined]);
  document.undo();
  assert.equal(document.text, "Won.\nTwo.");
  again();
  document.finish();
  assert.deepEqual([document.text, document.saved.former], ["Other.", undefined]);
  document.undo();
  assert.equal(document.text, "Won.\nTwo.");
});

test("a document that no audio was added to stays as it is", () => {
  const document = documentWith(final(0, "One.", 0, 1));
  document.finish();
  document.interrupt();
  assert.equal(document.saved.state, "done");
  document.begin(1);
  document.interrupt();
  assert.equal(document.saved.state, "interrupted");
});

test("a document without former text keeps what was transcribed until it was interrupted", () => {
  const document = newDocument();
  document.startAgain();
  document.begin(0);
  document.apply(final(0, "One.", 0, 1));
  document.interrupt();
  assert.deepEqual([document.text, document.saved.state], ["One.", "interrupted"]);
});

test("segments are replaced, not changed, so that views see which ones differ", () => {
  const document = documentWith(final(0, "One.", 0, 1), final(1, "Two.", 1, 2), final(2, "Three.", 2, 3));
  const before = [...document.segments];
  const copy = structuredClone(before);
  document.edit("1.0", "Won.");
  document.replaceAll("two", "Too");
  document.apply({ ...final(2, "Tree.", 2, 3), type: "revised" });
  document.apply({ type: "speakers", segments: [{ segment: 1, speaker: "A" }] });
  assert.deepEqual(before, copy);
  assert.ok(document.segments.every((segment, at) => segment !== before[at]));
  const [, second] = document.segments;
  document.edit("1.0", "One.");
  assert.equal(document.segments[1], second);
});

test("a replacement has no special characters", () => {
  const document = documentWith(final(0, "cost", 0, 1));
  document.replaceAll("cost", "$& $1");
  assert.equal(document.text, "$& $1");
});

test("subtitles break at words, sentences and pauses", () => {
  const text = "This is a rather long first sentence of the talk, which needs two lines. And this is another one.";
  const timed = text.split(" ").map((word, at) => ({ text: word, start: at * 0.3, end: at * 0.3 + 0.25 }));
  const { saved } = documentWith(final(0, text, 0, 6, { words: timed }));
  const made = cues(saved);
  assert.equal(made.map(({ lines }) => lines.join(" ")).join(" "), text);
  assert.ok(made.every(({ lines }) => lines.length <= 2 && lines.every((line) => line.length <= 42)));
  assert.ok(made.some(({ lines }) => lines.at(-1).endsWith("lines.")));
  assert.match(asSrt(saved), /^1\n00:00:00,000 --> 00:00:0\d,\d{3}\nThis is/);
  assert.match(asVtt(saved), /^WEBVTT\n\n00:00:00\.000 --> /);
});

test("text without spaces is cut into lines of wide characters", () => {
  const { saved } = documentWith(final(0, "日本語".repeat(20), 0, 30));
  const made = cues(saved);
  assert.ok(made.every(({ lines }) => lines.length <= 2 && lines.every((line) => line.length <= 21)));
  assert.equal(made.flatMap(({ lines }) => lines).join(""), "日本語".repeat(20));
});

test("a final with several speakers is exported as turns, also after later labels", () => {
  const spoken = words("Yes.", "No.", "Oh.").map((word, at) => ({ ...word, speaker: ["A", "A", "B"][at] }));
  const document = documentWith(final(0, "Yes. No. Oh.", 0, 3, { speaker: "A", words: spoken }));
  assert.equal(asText(document.saved), "Speaker A:\nYes. No.\n\nSpeaker B:\nOh.\n");
  document.apply({ type: "speakers", segments: [{ segment: 0, speaker: "B", word_speakers: ["B", null, "B"] }] });
  assert.equal(asText(document.saved), "Speaker B:\nYes.\n\n?:\nNo.\n\nSpeaker B:\nOh.\n");
  assert.equal(document.segments.length, 1);
});

test("exports have names of speakers, and are safe in their formats", () => {
  const document = documentWith(
    final(0, "a < b & *c*", 0, 1, { speaker: "A", words: words("a", "<", "b", "&", "*c*") }),
    final(1, "Yes.", 1, 2, { speaker: "B" }),
    final(2, "No.", 2, 3, { channel: 1 }),
  );
  document.saved.speakers = { A: "Ann" };
  assert.match(asVtt(document.saved), /<v Ann>a &lt; b &amp; \*c\*/);
  assert.match(asMarkdown(document.saved), /\*\*Ann\*\* \*0:00\* a \\< b & \\\*c\\\*/);
  assert.equal(asText(document.saved), "Ann:\na < b & *c*\n\nSpeaker B:\nYes.\n\nChannel 1:\nNo.\n");
  assert.match(asText(document.saved, { times: true }), /\[0:01\] Yes\./);
  const json = JSON.parse(asJson(document.saved));
  assert.deepEqual(json.segments[0].words[0], { text: "a", start: 0, end: 0.5 });
  assert.equal(json.segments[0].speaker, "Ann");
  assert.equal(fileName({ name: "my/talk.mp3" }, "times.txt"), "my-talk with times.txt");
  assert.equal(fileName({ name: "call.3gp" }, "srt"), "call.srt");
  assert.equal(fileName({ name: "Recording, 15.30" }, "txt"), "Recording, 15.30.txt");
  assert.equal(fileName({ name: ".." }, "srt"), "...srt".slice(0, 3) + "srt");
});

/** Storage in memory, as slow as a microtask. */
class MemoryStorage {
  pieces = new Map();
  isFull = false;
  async putAudio({ id, index, blob }, total) {
    if (this.isFull) throw new Error("full");
    this.pieces.set(index, blob);
    this.total = { id, ...total };
  }
  async audio() {
    return [...this.pieces.entries()].sort(([a], [b]) => a - b).map(([index, blob]) => ({ index, blob }));
  }
  async piece(_id, index) {
    return this.pieces.get(index);
  }
  async facts() {
    return this.total;
  }
}

const ramp = (from, count) => Int16Array.from({ length: count }, (_, at) => (from + at) % 30000);

/** All audio of a log from a position on. */
async function readAll(log, from) {
  const parts = [];
  for (let at = from, piece; (piece = await log.read(at)).byteLength > 0; at += piece.byteLength) parts.push(...new Int16Array(piece));
  return parts;
}

test("a log gives back its audio from any position, stored or not", async () => {
  const storage = new MemoryStorage();
  const log = new AudioLog(storage, "d", RATE_HZ);
  const all = ramp(0, RATE_HZ * 2 + 1234);
  for (let at = 0; at < all.length; at += 1000) log.append(all.slice(at, at + 1000).buffer);
  assert.deepEqual(await readAll(log, 0), [...all]);
  await log.stored;
  assert.equal(log.memory.size, 1);
  assert.deepEqual(await readAll(log, log.bytesOf(1.5)), [...all.slice(RATE_HZ * 1.5)]);
  assert.equal((await log.wav()).size, 44 + all.length * 2);
  await log.flush();
  assert.equal(storage.total.bytes, all.length * 2);
});

test("a log is continued where its storage ends", async () => {
  const storage = new MemoryStorage();
  const log = new AudioLog(storage, "d", RATE_HZ);
  log.append(ramp(0, 20000).buffer);
  await log.flush();
  const again = await AudioLog.reopen(storage, "d", log.peaks);
  again.append(ramp(20000, 20000).buffer);
  await again.flush();
  assert.deepEqual(await readAll(again, 0), [...ramp(0, 40000)]);
  assert.equal(again.peaks.length, 25);
});

test("a log without room keeps its audio in memory and says why", async () => {
  const storage = new MemoryStorage();
  storage.isFull = true;
  const log = new AudioLog(storage, "d", RATE_HZ);
  log.append(ramp(0, RATE_HZ * 3).buffer);
  await log.flush();
  assert.equal(log.trouble.message, "full");
  assert.equal((await readAll(log, 0)).length, RATE_HZ * 3);
  assert.equal((await log.wav()).size, 44 + RATE_HZ * 6);
});

test("a log stores what was rejected as soon as there is room", async () => {
  const storage = new MemoryStorage();
  const log = new AudioLog(storage, "d", RATE_HZ);
  storage.isFull = true;
  log.append(ramp(0, RATE_HZ * 2).buffer);
  await log.stored;
  storage.isFull = false;
  log.append(ramp(RATE_HZ * 2, RATE_HZ).buffer);
  await log.stored;
  assert.equal(log.memory.size, 0);
  assert.equal(storage.total.bytes, RATE_HZ * 6);
  const again = await AudioLog.reopen(storage, "d", []);
  assert.deepEqual(await readAll(again, 0), [...ramp(0, RATE_HZ * 3)]);
});

test("a piece that storage has lost is silence", async () => {
  const storage = new MemoryStorage();
  const log = new AudioLog(storage, "d", RATE_HZ);
  log.append(ramp(0, RATE_HZ * 3).buffer);
  await log.stored;
  storage.pieces.delete(1);
  const expected = [...ramp(0, RATE_HZ * 3)].fill(0, RATE_HZ, RATE_HZ * 2);
  assert.deepEqual(await readAll(log, 0), expected);
  const wav = await (await log.wav()).arrayBuffer();
  assert.deepEqual([...new Int16Array(wav.slice(44))], expected);
});

test("a WAV file has a header that fits its audio", async () => {
  const bytes = Buffer.from(await wavOf([ramp(0, 10)], 20, 8000).arrayBuffer());
  assert.equal(bytes.toString("latin1", 0, 4) + bytes.toString("latin1", 8, 16), "RIFFWAVEfmt ");
  assert.equal(bytes.readUInt32LE(24), 8000);
  assert.equal(bytes.readUInt32LE(40), 20);
});
