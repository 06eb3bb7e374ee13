/** Keeps the page usable while the server cannot be reached: recordings can be read, played, and even begun. */

const CACHE = "voxtral-page";
/** Files that are loaded only when they are needed. */
const LATER = ["lib/recorder-worklet.js"];

/** Browsers allow it on https pages and on this computer's own address. */
export async function prepareOffline() {
  try {
    await navigator.serviceWorker.register("service-worker.js");
    const cache = await caches.open(CACHE);
    const loaded = performance.getEntriesByType("resource").map(({ name }) => new URL(name));
    const files = loaded.filter(({ origin, pathname }) => origin === location.origin && /\.(js|css|svg)$/.test(pathname));
    await cache.addAll([...new Set([location.pathname, ...LATER, ...files.map(({ pathname }) => pathname)])]);
  } catch {
    // Without it, the page needs the server to be loaded.
  }
}
