/** What the tabs of this browser know of each other: which documents they work on, and which they have changed. */

const PREFIX = "voxtral-document-";
const channel = new BroadcastChannel("voxtral-documents");
/** What this tab holds. Nothing else is known where browsers have no locks, as on pages without TLS. @type {Map<string, () => void>} */
const held = new Map();

/**
 * Takes a document to work on it, until `release`.
 *
 * @param {string} id
 * @returns {Promise<boolean>} false if this tab or another one works on it already
 */
export async function hold(id) {
  if (held.has(id)) return false;
  held.set(id, () => {});
  const isFree = !navigator.locks || (await isGranted(id).catch(() => true)); // a browser may refuse locks
  if (isFree) tellOthers(id);
  else held.delete(id);
  return isFree;
}

/** @param {string} id the browser gives its lock back when the tab is closed or crashes */
function isGranted(id) {
  return new Promise((resolve, reject) => {
    const granted = (/** @type {Lock | null} */ lock) => {
      resolve(lock !== null);
      if (lock && held.has(id)) return new Promise((free) => held.set(id, () => free(undefined)));
    };
    navigator.locks.request(PREFIX + id, { ifAvailable: true }, granted).catch(reject);
  });
}

/** @param {string} id */
export function release(id) {
  held.get(id)?.();
  held.delete(id);
  tellOthers(id);
}

/** @param {string} id of a document that this tab has changed */
export function tellOthers(id) {
  channel.postMessage(id);
}

/** @param {(id: string) => void} changed another tab has changed a document, or begun to work on it */
export function listen(changed) {
  channel.addEventListener("message", ({ data }) => changed(data));
}

/** @param {string} id */
export function isHeldHere(id) {
  return held.has(id);
}

/** @param {string} id @returns {Promise<void>} resolves when no tab works on the document */
export async function whenFree(id) {
  await navigator.locks?.request(PREFIX + id, { mode: "shared" }, () => {});
}

/** @returns {Promise<Set<string>>} the documents that any tab works on */
export async function heldIds() {
  const locks = ((await navigator.locks?.query())?.held ?? []).filter(({ mode }) => mode === "exclusive");
  const names = locks.flatMap(({ name }) => (name?.startsWith(PREFIX) ? name.slice(PREFIX.length) : []));
  return new Set([...held.keys(), ...names]);
}

/** @returns {Promise<Set<string>>} the documents that other tabs work on */
export async function heldElsewhere() {
  return new Set([...(await heldIds())].filter((id) => !held.has(id)));
}
