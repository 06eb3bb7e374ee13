/** Serves the page's own files from a cache while the server cannot be reached. Answers of the API are never cached. */

const CACHE = "voxtral-page";
const PAGE_FILES = /(^|\/)(captions|docs|(openapi|asyncapi)\.json)?$|\.(js|css|html|svg|webmanifest)$/;

const worker = /** @type {any} */ (self);

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { origin, pathname } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== location.origin || !PAGE_FILES.test(pathname)) return;
  event.respondWith(newest(event.request));
});

/** @param {Request} request */
async function newest(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const cached = await cache.match(request, { ignoreSearch: true });
    if (cached) return cached;
    throw error;
  }
}
