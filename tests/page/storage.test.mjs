/** What is deleted when the stored audio exceeds its bound. Run by Node. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Database } from "./database.mjs";

Object.assign(globalThis, { BroadcastChannel: class {} });
Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true }); // that of Node has only a getter

const { Storage } = await import(`${process.env.STATIC}/storage.js`);

const BYTES = 40;

/** Storage with room for the audio of two documents, and the names of those whose audio is deleted. */
function newStorage() {
  const storage = new Storage(new Database());
  storage.boundBytes = 2 * BYTES;
  const deleted = [];
  storage.onDeleted = ({ id }) => deleted.push(id);
  let createdMs = 0;
  const put = async (id) => {
    await storage.save({ id, createdMs: createdMs++ });
    await storage.put({ id, index: 0, blob: new Blob([]) }, { bytes: BYTES, sampleRate: 0 });
  };
  return { storage, deleted, put };
}

test("no more audio is deleted than is needed, although room is made for several documents at a time", async () => {
  const { storage, deleted, put } = newStorage();
  await put("one");
  await storage.makeRoom("one");
  for (const id of ["two", "three"]) await put(id);
  await Promise.all([storage.makeRoom("two"), storage.makeRoom("three")]);
  assert.deepEqual(deleted, ["one"]);
});

test("nothing is deleted for a file that is not known to be audio", async () => {
  const { storage, deleted, put } = newStorage();
  await put("one");
  await storage.makeRoom("one");
  await put("good");
  await put("unknown");
  await storage.makeRoom("good");
  assert.deepEqual(deleted, []);
  await storage.makeRoom("unknown");
  assert.deepEqual(deleted, ["one"]);
});

test("room is made although it failed before", async () => {
  const { storage, deleted, put } = newStorage();
  for (const id of ["one", "two"]) {
    await put(id);
    await storage.makeRoom(id);
  }
  await put("three");
  const { database } = storage;
  storage.database = null;
  await assert.rejects(storage.makeRoom("three"));
  storage.database = database;
  await storage.makeRoom("three");
  assert.deepEqual(deleted, ["one"]);
});
