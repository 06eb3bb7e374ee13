/** The JavaScript client over sockets of the test. Run by Node. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Server, turns, until } from "./server.mjs";

const { follow } = await import(`${process.env.STATIC}/lib/event-stream.js`);
const { LiveTranscription } = await import(`${process.env.STATIC}/lib/live.js`);

async function failureOf(live) {
  try {
    for await (const _ of live);
  } catch (error) {
    return error.message;
  }
}

test("a transcription that is closed leaves no socket, however early", async () => {
  const server = new Server();
  server.onMessage = (message) => message.type === "start";
  const start = () => new LiveTranscription("http://server", { WebSocket: server.WebSocket });
  start().close();
  await turns();
  assert.deepEqual([server.opened, server.open.size], [0, 0], "at once");
  const opening = start();
  await until(() => server.opened > 0);
  opening.close();
  await turns();
  assert.deepEqual([server.opened, server.open.size], [1, 0], "before it is open");
  const starting = start();
  await until(() => server.received.length > 0);
  starting.close();
  await turns();
  assert.deepEqual([server.opened, server.open.size], [2, 0], "before `ready`");
});

test("a transcription whose socket ends before it is authorized fails once, and connects no more", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = new Server();
  server.onMessage = (message, socket) => message.type === "auth" && (socket.end(), true);
  const live = new LiveTranscription("http://server", { WebSocket: server.WebSocket, key: "k" });
  assert.match(await failureOf(live), /connection to the server was lost/);
  t.mock.timers.tick(60000);
  await turns();
  assert.equal(server.opened, 1);
});

/** Answers requests with event streams, and keeps what can be written to each. */
function streams(t) {
  const opened = [];
  t.mock.method(globalThis, "fetch", async (url, { signal }) => {
    const stream = { signal };
    const start = (controller) => {
      stream.write = (text) => controller.enqueue(new TextEncoder().encode(text));
      signal.addEventListener("abort", () => controller.error(signal.reason));
    };
    opened.push(stream);
    return new Response(new ReadableStream({ start }));
  });
  return opened;
}

test("an event stream without heartbeats is opened again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const opened = streams(t);
  const states = [];
  const handlers = { onEvent() {}, onState: (state) => states.push(state), onEnd: () => states.push("end"), onRefused() {} };
  const following = follow("http://server", "t", handlers);
  await turns();
  t.mock.timers.tick(30000);
  opened[0].write(":\n\n");
  await turns();
  t.mock.timers.tick(30000);
  await turns();
  assert.deepEqual(states, ["connecting", "live"]);
  t.mock.timers.tick(10000);
  await turns();
  assert.equal(states.at(-1), "waiting");
  t.mock.timers.tick(1000);
  await turns();
  opened[1].write('data: {"type": "done"}\n\n');
  await following;
  assert.deepEqual(states, ["connecting", "live", "waiting", "live", "end"]);
  assert.ok(opened[1].signal.aborted, "its connection is free");
});

test("an event stream that is aborted ends without another word", async (t) => {
  const opened = streams(t);
  const seen = [];
  const handlers = { onEvent: () => controller.abort(), onState: (state) => seen.push(state), onEnd: () => seen.push("end") };
  const controller = new AbortController();
  const following = follow("http://server", "t", handlers, controller.signal);
  await turns();
  opened[0].write('data: {"type": "final"}\n\ndata: {"type": "done"}\n\n');
  await following;
  assert.deepEqual([seen, opened.length, opened[0].signal.aborted], [["connecting", "live"], 1, true]);
});
