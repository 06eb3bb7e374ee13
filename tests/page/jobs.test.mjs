/** Recordings and files of the page, over the real connection to a server of the test. Run by Node. */

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Server, until } from "./server.mjs";

Object.assign(globalThis, {
  addEventListener() {},
  document: { addEventListener() {} },
  BroadcastChannel: class {},
});

const page = (name) => import(`${process.env.STATIC}/${name}`);
const { FileTranscription } = await page("file-transcription.js");
const { AudioLog } = await page("audio-log.js");
const { Jobs } = await page("jobs.js");
const { Keeper } = await page("keeper.js");
const { LiveRecording } = await page("live-recording.js");
const { TranscriptDocument } = await page("transcript-document.js");
const { Connection } = await page("lib/connection.js");

const LIMITS = { sampleRate: 16000, chunkSize: 1024, maxFileBytes: 1e9 };
/** @type {any[]} */
const connections = [];
after(() => connections.forEach((connection) => connection.close()));

const newDocument = (kind) => TranscriptDocument.create({ name: "talk", kind, mode: "transcribe" }, { id: "d", createdMs: 0 });

/** A connection to a server, for one job. */
function connect(server) {
  const handlers = { onState: () => {}, onMessage: (message) => jobs.job?.receive(message), onLost: () => jobs.job?.lost() };
  const connection = new Connection(async () => "ws://server", () => null, handlers, { WebSocket: server.WebSocket });
  const jobs = { connection, job: null };
  connections.push(connection);
  return jobs;
}

/** What a job reports, in order. */
function observerOf(seen, onEnd) {
  return { onPhase() {}, onEvent() {}, onEnd, onReconnecting: (isLost) => seen.push(isLost), onLevel() {}, onProgress() {} };
}

/** Transcribes samples as a file. */
async function transcribed(server, pcm) {
  const jobs = connect(server);
  const document = newDocument("file");
  await jobs.connection.whenOpen();
  const trouble = await new Promise((onEnd) => {
    const parts = { ...jobs, limits: LIMITS, options: { mode: "transcribe" } };
    jobs.job = new FileTranscription(document, parts, observerOf([], onEnd));
    void jobs.job.sendSamples(pcm);
  });
  return { document, trouble };
}

/** A recording whose microphone has been stopped after so many seconds, with what it reports. */
function stoppedRecording(server, seconds) {
  const jobs = connect(server);
  const seen = [];
  const parts = { ...jobs, limits: LIMITS, options: {}, storage: null };
  const job = new LiveRecording(newDocument("recording"), parts, observerOf(seen, (trouble) => seen.push(trouble ?? "ended")));
  jobs.job = job;
  job.log = new AudioLog(null, "d", LIMITS.sampleRate);
  job.log.append(new ArrayBuffer(2 * seconds * LIMITS.sampleRate));
  job.isStopped = true;
  void job.serve(job.log);
  return { job, jobs, seen };
}

test("all audio of a long file is sent, and in order", async () => {
  const server = new Server();
  const pcm = Int16Array.from({ length: 120 * LIMITS.sampleRate }, (_, index) => index / 1000);
  const { document, trouble } = await transcribed(server, pcm);
  assert.equal(trouble, undefined);
  assert.equal(document.saved.segments[0].text, "120 seconds");
  const audio = server.received.filter((content) => content instanceof ArrayBuffer);
  assert.equal(server.received[0].recording, true);
  assert.deepEqual(Buffer.concat(audio.map((piece) => Buffer.from(piece))), Buffer.from(pcm.buffer));
});

test("an answer is due only after all audio was sent, also in a second session", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = new Server();
  let sessions = 0;
  server.onMessage = (message, socket) => {
    if (message.type === "start") sessions++;
    if (message.type === "stop") socket.answer({ type: "error", code: "internal_error", message: "Incident 1.", seq: 2 });
    return message.type === "stop" || (sessions === 2 && message instanceof ArrayBuffer);
  };
  const { job } = stoppedRecording(server, 60);
  await until(() => (t.mock.timers.tick(100), sessions === 2));
  await until(() => job.session?.isServed && !job.session.hasRoom);
  t.mock.timers.tick(40000);
  assert.ok(!job.isOver, "the server has not had all audio");
  job.end();
});

test("no answer is due while the connection is lost, also if the recording is stopped then", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = new Server();
  const { job, seen } = stoppedRecording(server, 1);
  job.isStopped = false;
  await until(() => server.audioBytes === 2 * LIMITS.sampleRate);
  server.onMessage = () => true;
  [...server.open].forEach((socket) => socket.end());
  await until(() => seen.at(-1) === true);
  await job.stop();
  assert.ok(job.hasSentStop);
  t.mock.timers.tick(job.silenceLimitMs);
  assert.ok(!job.isOver, "the session waits for a connection");
  job.end();
});

test("a file that waits for the end of a recording is the first of the files", async () => {
  const { connection } = connect(new Server());
  await connection.whenOpen();
  const handlers = observerOf([], () => {});
  const jobs = new Jobs({ connection, keeper: new Keeper(null, () => {}), limits: () => LIMITS }, handlers);
  jobs.record(newDocument("recording"), {});
  jobs.transcribe(newDocument("file"), {}, new Blob(["Notes"]));
  jobs.transcribe(newDocument("file"), {}, new Blob(["Notes"]));
  jobs.cancel();
  assert.deepEqual(jobs.progress, { place: 1, total: 2 });
  jobs.cancel();
  assert.deepEqual(jobs.progress, { place: 2, total: 2 });
  jobs.cancel();
  assert.deepEqual(jobs.progress, { place: 1, total: 1 });
});
