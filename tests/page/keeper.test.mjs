/** The keeper of the page's documents, with a database that a test fills. Run by Node. */

import assert from "node:assert/strict";
import { test } from "node:test";

Object.assign(globalThis, {
  addEventListener() {},
  document: { addEventListener() {} },
  IDBKeyRange: { bound() {} },
  BroadcastChannel: class {
    postMessage() {}
  },
});

Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true }); // that of Node has only a getter

const page = (name) => import(`${process.env.STATIC}/${name}`);
const { Keeper } = await page("keeper.js");
const { Storage } = await page("storage.js");
const { TranscriptDocument } = await page("transcript-document.js");

/** In place of IndexedDB: ends each transaction in its turn, without storing it if there is no room. */
class Database {
  isFull = false;
  /** The documents that are there, and the states that were stored of them. */
  documents = [];
  states = [];

  transaction() {
    const { isFull } = this;
    const put = ({ state }) => isFull || this.states.push(state);
    const getAll = () => {
      const request = { result: this.documents };
      setImmediate(() => request.onsuccess());
      return request;
    };
    const transaction = { objectStore: () => ({ put, getAll, delete() {} }) };
    setImmediate(() => (isFull ? transaction.onabort?.() : transaction.oncomplete?.()));
    return transaction;
  }
}

function newKeeper() {
  const database = new Database();
  const troubles = [];
  const keeper = new Keeper(new Storage(database), (error) => troubles.push(error));
  const document = TranscriptDocument.create({ name: "talk", kind: "file", mode: "transcribe" }, { id: "d", createdMs: 0 });
  const save = () => (keeper.touch(document), keeper.save());
  return { database, document, keeper, save, troubles };
}

test("a lack of room is reported once, until there is room again", async () => {
  const { database, save, troubles } = newKeeper();
  database.isFull = true;
  await save();
  await save();
  assert.equal(troubles.length, 1);
  database.isFull = false;
  await save();
  database.isFull = true;
  await save();
  assert.equal(troubles.length, 2);
});

test("a document is not saved again that was removed while saving it failed", async () => {
  const { database, document, keeper, save, troubles } = newKeeper();
  database.isFull = true;
  const failed = save();
  database.isFull = false;
  await keeper.remove(document);
  await failed;
  assert.equal(keeper.changed.size, 0);
  assert.equal(troubles.length, 0);
});

test("a document that cannot be saved does not keep the page from its start", async () => {
  const { database, document, keeper, troubles } = newKeeper();
  const left = (id) => ({ ...document.stored, id, createdMs: 0, state: "working" });
  database.documents = [left("d"), left("e")];
  database.isFull = true;
  await keeper.readAll();
  assert.equal(troubles.length, 2);
  database.isFull = false;
  await keeper.readAll();
  assert.deepEqual(database.states, ["interrupted", "interrupted"]);
});
