// The page's client of live sessions, driven by the vectors that drive the Python client, too.
// Run by tests/integration/test_page_modules.py: STATIC is the folder of the modules, TABLE a file to write the table to.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const module = (name) => import(pathToFileURL(`${process.env.STATIC}/lib/${name}.js`).href);
const { errorEvent, Machine, MOVES, pauseS } = await module("resume-rules");
const { Outbox } = await module("outbox");
const { Resumption } = await module("resumption");
const { LiveSession } = await module("session");
const vectors = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, import.meta.url), "utf8"));
const { sequences, errors, pauses, answers, limits } = vectors("resume");
const READY = { type: "ready", session_id: "s", seq: 1, resume_token: "t" };

writeFileSync(process.env.TABLE, JSON.stringify(MOVES));

for (const { name, steps } of sequences) {
  test(`table: ${name}`, () => {
    const machine = new Machine();
    for (const [event, state, actions] of steps) {
      assert.deepEqual([machine.move(event), machine.state], [actions, state], event);
    }
  });
}

test("errors are final or worth another attempt", () => {
  for (const { code, ends_session: endsSession, is_whole: isWhole, event } of errors) {
    assert.equal(errorEvent(code, { endsSession, isWhole }), event, code);
  }
});

test("pauses grow to a limit", () => {
  for (const { attempt, chance, pause_s: pause } of pauses) {
    assert.ok(Math.abs(pauseS(attempt, chance) - pause) < 1e-9, `attempt ${attempt}`);
  }
});

function resumption() {
  const memory = new Resumption();
  memory.begin({ sample_rate: 16000 });
  memory.answered(READY);
  return memory;
}

for (const { name, puts, confirms, stops, ready, event, unsent } of answers) {
  test(`answer: ${name}`, () => {
    const memory = resumption();
    for (const samples of puts) memory.outbox.put(new ArrayBuffer(2 * samples));
    memory.outbox.takeUnsent();
    memory.outbox.confirm(confirms);
    memory.isStopped = stops ?? false;
    assert.equal(memory.answered({ ...READY, ...ready }), event);
    assert.equal(memory.outbox.takeUnsent().reduce((bytes, pcm) => bytes + pcm.byteLength, 0), unsent);
  });
}

test("ready says how long a session can be resumed", () => {
  for (const { ready, resume_timeout_s: timeout, keep_s: keep } of limits) {
    const memory = resumption();
    memory.answered({ ...READY, ...ready });
    assert.equal(memory.resumeTimeoutS, timeout);
    for (let second = 0; second < keep; second++) assert.ok(memory.outbox.put(new ArrayBuffer(32000)));
    assert.ok(!memory.outbox.put(new ArrayBuffer(2)));
  }
});

/** One step: fields other than the operation's are what it leads to. */
function take(outbox, step) {
  const sizes = () => outbox.takeUnsent().map((content) => content.byteLength ?? content.number);
  if ("put" in step) {
    for (let n = step.repeat ?? 1; n > 0; n--) assert.equal(outbox.put(new ArrayBuffer(step.put)), step.taken);
  } else if ("control" in step) outbox.putControl({ type: step.control });
  else if ("send" in step) assert.deepEqual(sizes(), step.send);
  else if ("take" in step) sizes();
  else if ("confirm" in step) outbox.confirm(step.confirm);
  else if ("rewind" in step) assert.equal(outbox.rewind(...step.rewind), step.possible);
  else if ("keep_for" in step) outbox.keepFor(step.keep_for);
  else if ("close" in step) outbox.close();
  else assert.fail(`no operation in ${JSON.stringify(step)}`);
}

for (const { name, sample_rate: sampleRate, steps } of vectors("outbox")) {
  test(`outbox: ${name}`, () => {
    const outbox = new Outbox();
    outbox.sampleRate = sampleRate;
    for (const step of steps) {
      take(outbox, step);
      const { is_full = outbox.isFull, is_whole = outbox.isWhole, kept_bytes = outbox.keptBytes } = step;
      assert.deepEqual([outbox.isFull, outbox.isWhole, outbox.keptBytes], [is_full, is_whole, kept_bytes], JSON.stringify(step));
    }
  });
}

/** A session over a transport of its own: what it sends, and what its page is told. */
function openSession() {
  const seen = { sent: [], told: [] };
  const transport = {
    isOpen: true,
    heardAtMs: performance.now(),
    get silentMs() {
      return performance.now() - this.heardAtMs;
    },
    send: (message) => seen.sent.push(message.type),
    sendAudio: (pcm) => seen.sent.push(pcm.byteLength),
    whenOpen: () => Promise.resolve(true),
    giveUp: () => {
      seen.sent.push("4000");
      session.lost();
    },
    reopen: () => seen.sent.push("1000"),
  };
  const session = new LiveSession(transport, {
    onEvent: (event) => seen.told.push(event.type),
    onDone: () => seen.told.push("over"),
    onError: ({ message }) => seen.told.push(message),
    onReconnecting: (isLost) => seen.told.push(isLost),
  });
  session.start({ sample_rate: 16000 });
  return { session, transport, seen };
}

/** Whether a promise has resolved, after everything that is due now. */
async function isResolved(promise) {
  const pending = Symbol("pending");
  await new Promise(setImmediate);
  return (await Promise.race([promise, Promise.resolve(pending)])) !== pending;
}

test("room waits until the server has half of the audio, or the end", async () => {
  const { session } = openSession();
  const beforeReady = session.room();
  assert.ok(!(await isResolved(beforeReady)));
  session.receive(READY);
  await beforeReady;
  while (session.write(new ArrayBuffer(32000)));
  const room = session.room();
  session.receive({ type: "received", audio_received_samples: 15 * 16000 });
  assert.ok(!(await isResolved(room)));
  session.receive({ type: "received", audio_received_samples: 16 * 16000 });
  await room;
  while (session.write(new ArrayBuffer(32000)));
  const atTheEnd = session.room();
  session.cancel();
  await atTheEnd;
});

test("a session is resumed by itself, and what the server lacks is sent again", async () => {
  const { session, seen } = openSession();
  session.receive(READY);
  session.write(new ArrayBuffer(100));
  session.lost();
  while (!seen.sent.includes("resume")) await new Promise(setImmediate);
  session.receive({ ...READY, audio_received_samples: 20 });
  session.stop();
  session.receive({ type: "done", seq: 2 });
  assert.deepEqual(seen.sent, ["start", 100, "resume", 60, "stop"]);
  assert.deepEqual(seen.told, ["ready", true, false, "ready", "over"]);
});

test("a connection that is silent is asked once, then given up", (t) => {
  let nowMs = 0;
  t.mock.method(performance, "now", () => nowMs);
  const { session, seen } = openSession();
  session.receive(READY);
  for (const atMs of [4000, 4064, 10000, 11064]) {
    nowMs = atMs;
    session.write(new ArrayBuffer(2));
  }
  session.cancel();
  assert.deepEqual(seen.sent, ["start", 2, "ping", 2, 2, 2, "4000"]);
  assert.deepEqual(seen.told, ["ready", true, false]);
});

test("after a pause without audio, the answer to a ping may take as long as at other times", (t) => {
  let nowMs = 0;
  t.mock.method(performance, "now", () => nowMs);
  const { session, transport, seen } = openSession();
  session.receive(READY);
  for (const atMs of [60000, 60064, 60128]) {
    nowMs = atMs;
    session.write(new ArrayBuffer(2));
  }
  transport.heardAtMs = nowMs;
  session.write(new ArrayBuffer(2));
  assert.deepEqual(seen.sent, ["start", 2, "ping", 2, 2, 2]);
});

test("an error that ends nothing is handed on, and one that ends the session is its end", () => {
  const { session, seen } = openSession();
  session.receive(READY);
  session.receive({ type: "error", code: "invalid_field", message: "No." });
  session.receive({ type: "error", code: "internal_error", message: "Incident 1.", seq: 2 });
  session.write(new ArrayBuffer(2));
  assert.deepEqual(seen.told, ["ready", "error", "Incident 1."]);
});
