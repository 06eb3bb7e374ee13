/** Which documents the tabs of this browser work on. A tab that is closed or has crashed no longer holds any. */

const PREFIX = "voxtral-document-";
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
  if (!navigator.locks) return true;
  const isFree = await new Promise((resolve, reject) => {
    const granted = (/** @type {Lock | null} */ lock) => {
      resolve(lock !== null);
      if (lock && held.has(id)) return new Promise((free) => held.set(id, () => free(undefined)));
    };
    navigator.locks.request(PREFIX + id, { ifAvailable: true }, granted).catch(reject);
  });
  if (!isFree) held.delete(id);
  return isFree;
}

/** @param {string} id */
export function release(id) {
  held.get(id)?.();
  held.delete(id);
}

/** @param {string} id */
export function isHeldHere(id) {
  return held.has(id);
}

/** @returns {Promise<Set<string>>} the documents that any tab works on */
export async function heldIds() {
  const locks = (await navigator.locks?.query())?.held ?? [];
  const names = locks.flatMap(({ name }) => (name?.startsWith(PREFIX) ? name.slice(PREFIX.length) : []));
  return new Set([...held.keys(), ...names]);
}
