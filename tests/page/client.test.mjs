/** The JavaScript client over sockets of the test. Run by Node. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Server, turns, until } from "./server.mjs";

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
