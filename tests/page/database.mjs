/** What the modules of the page meet in place of IndexedDB: it keeps everything in memory. */

Object.assign(globalThis, { IDBKeyRange: { bound: ([id]) => ({ id }) } });

export class Database {
  /** @type {Record<string, any[]>} */
  stores = { documents: [], audio: [], facts: [] };

  transaction() {
    const transaction = { objectStore: (name) => this.store(name) };
    setImmediate(() => transaction.oncomplete?.());
    return transaction;
  }

  store(name) {
    const remove = ({ id, index }) =>
      (this.stores[name] = this.stores[name].filter((one) => one.id !== id || (index !== undefined && one.index !== index)));
    return {
      get: (id) => request(this.stores[name].find((one) => one.id === id)),
      getAll: () => request([...this.stores[name]]),
      put: (one) => (remove(one), this.stores[name].push(one)),
      delete: (key) => remove(typeof key === "string" ? { id: key } : key),
    };
  }
}

function request(result) {
  const asked = { result };
  setImmediate(() => asked.onsuccess());
  return asked;
}
