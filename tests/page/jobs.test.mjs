/** Recordings and files of the page, over the real connection to a server of the test. Run by Node. */

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { Server } from "./server.mjs";

const page = (name) => import(`${process.env.STATIC}/${name}`);
const { FileTranscription } = await page("file-transcription.js");
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

/** Transcribes samples as a file. */
async function transcribed(server, pcm) {
  const jobs = connect(server);
  const document = newDocument("file");
  await jobs.connection.whenOpen();
  const trouble = await new Promise((onEnd) => {
    const observer = { onPhase() {}, onEvent() {}, onEnd, onReconnecting() {}, onLevel() {}, onProgress() {} };
    jobs.job = new FileTranscription(document, { ...jobs, limits: LIMITS, options: { mode: "transcribe" } }, observer);
    void jobs.job.sendSamples(pcm);
  });
  return { document, trouble };
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
